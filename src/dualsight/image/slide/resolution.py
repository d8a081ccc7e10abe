"""How large a slide's pixels are, by what its first directory says."""

from __future__ import annotations

import re

from dualsight.image.slide.pyramid import Directory

_PLAUSIBLE_MPP = (0.01, 20.0)  # a resolution tag outside says 72 dpi, or nothing, and was never measured
_MPP = re.compile(r"\|\s*MPP\s*=\s*([0-9]*\.?[0-9]+)")
_OME_SIZE = re.compile(r'\bPhysicalSizeX="([0-9.eE+-]+)"')
_OME_UNIT = re.compile(r'\bPhysicalSizeXUnit="([^"]*)"')
_UM_PER_UNIT = {2: 25_400.0, 3: 10_000.0}  # TIFF's inch and centimetre


def mpp_of(base: Directory) -> float | None:
    """Micrometres to a pixel: as Aperio writes it, as OME-XML does, or by TIFF's resolution; None if implausible."""
    size, unit = _OME_SIZE.search(base.description), _OME_UNIT.search(base.description)
    aperio = _MPP.search(base.description) if base.is_aperio else None
    try:
        if aperio:
            mpp = float(aperio[1])
        elif size and (unit is None or unit[1] in ("µm", "μm", "um")):  # two letters mu are in use
            mpp = float(size[1])
        elif base.resolution and base.unit in _UM_PER_UNIT:
            mpp = _UM_PER_UNIT[base.unit] / base.resolution[0]
        else:
            return None
    except ValueError:
        return None
    return mpp if _PLAUSIBLE_MPP[0] <= mpp <= _PLAUSIBLE_MPP[1] else None
