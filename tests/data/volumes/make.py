"""Writes the files beside it anew, with SimpleITK, which the tests do without: one oblique volume in each format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

TILT = np.radians(20)
DIRECTION = [[0, np.cos(TILT), -np.sin(TILT)], [-1, 0, 0], [0, np.sin(TILT), np.cos(TILT)]]

if __name__ == "__main__":
    folder = Path(__file__).parent
    values = np.random.default_rng(7).integers(-1000, 1000, (3, 4, 5), dtype=np.int16)  # [k, j, i]
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((1.25, 0.75, 2.5))
    image.SetOrigin((-10.0, 20.5, 33.0))
    image.SetDirection(np.array(DIRECTION).ravel().tolist())
    for name in ("oblique.nii", "oblique.mha", "oblique.mhd", "oblique.nrrd", "oblique.nhdr"):
        sitk.WriteImage(image, str(folder / name))
    sitk.WriteImage(image, str(folder / "oblique_zlib.mha"), useCompression=True)
    sitk.WriteImage(image, str(folder / "oblique_gzip.nrrd"), useCompression=True)
