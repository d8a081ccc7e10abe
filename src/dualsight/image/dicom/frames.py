"""The stored values of a DICOM file, one frame at a time (PS3.3 C.7.6.3, PS3.5 section 8)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from dualsight.errors import UnreadableImage, UnsupportedImage
from dualsight.image.dicom.codestream import is_complete, mend_scan_header, read_codestream, without_boxes
from dualsight.image.dicom.file import DicomFile, PixelElement
from dualsight.image.dicom.meta import uid_name
from dualsight.image.dicom.rle import unpack_rle
from dualsight.image.limits import Limits
from dualsight.image.quiet import damage

_COLOUR = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"})
# pydicom's decoding plugins, in the order in which they are asked. GDCM is left out: it ends the process on some
# damaged JPEGs, and what it reads the others read as well.
_PLUGINS = ("pillow", "pyjpegls", "pylibjpeg", "pydicom")
_ONE_SAMPLE = frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelModule:
    """The Image Pixel module's numbers, checked (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    n_frames: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    pixel_representation: int
    planar_configuration: int
    photometric_interpretation: str
    note: str | None = None

    @property
    def frame_bits(self) -> int:
        """Bits of one uncompressed frame; YBR_FULL_422 shares its colour between two pixels."""
        samples = 2 if self.photometric_interpretation == "YBR_FULL_422" else self.samples_per_pixel
        return self.rows * self.columns * samples * self.bits_allocated


@dataclass(frozen=True, slots=True, eq=False)
class StoredFrame:
    """Stored values [H, W] or [H, W, 3] of one frame, and how to read them after decoding."""

    values: NDArray[Any]
    photometric_interpretation: str
    bits: int


def read_pixel_module(file: DicomFile, pixels: PixelElement, source: str, limits: Limits) -> PixelModule:
    """The header's numbers about its pixels.

    Missing ones that have one sensible value get it; a number of frames that is no number is counted from the bytes.
    Raises UnreadableImage if the numbers contradict each other, UnsupportedImage, ImageTooLarge.
    """
    header, has_floats = file.header, pixels.keyword != "PixelData"
    with damage(source, "the header's description of its pixels is damaged"):
        samples = _integer(header, "SamplesPerPixel", source, default=1)
        float_bits = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(pixels.keyword)
        allocated = float_bits or _integer(header, "BitsAllocated", source)
        module = PixelModule(
            rows=_integer(header, "Rows", source),
            columns=_integer(header, "Columns", source),
            n_frames=1,
            samples_per_pixel=samples,
            bits_allocated=allocated,
            bits_stored=allocated if has_floats else _integer(header, "BitsStored", source, default=allocated),
            # colour is never signed, whatever a header says
            pixel_representation=0 if samples > 1 else _integer(header, "PixelRepresentation", source, default=0),
            planar_configuration=_integer(header, "PlanarConfiguration", source, default=0),
            photometric_interpretation=_photometric(header, samples),
        )
    _check(module, source)
    return _with_frames(module, file, pixels, source, limits)


def _integer(header: Dataset, keyword: str, source: str, *, default: int | None = None) -> int:
    value = header.get(keyword)
    value = default if value is None else value
    if value is None:
        raise UnreadableImage(f"its header lacks {keyword}", source=source)
    return int(value)


def _photometric(header: Dataset, samples: int) -> str:
    default = "MONOCHROME2" if samples == 1 else "RGB"
    return str(header.get("PhotometricInterpretation") or default).strip().upper()


def _check(module: PixelModule, source: str) -> None:
    """Refuses what no decoder should be asked for."""
    if not (1 <= module.rows <= 0xFFFF and 1 <= module.columns <= 0xFFFF):
        raise UnreadableImage(f"{module.rows} rows of {module.columns} columns are no picture", source=source)
    if module.bits_allocated not in (1, 8, 16, 32, 64):
        raise UnsupportedImage(f"{module.bits_allocated} bits a sample are not supported", source=source)
    if not 1 <= module.bits_stored <= module.bits_allocated:
        problem = f"{module.bits_stored} bits stored do not fit into {module.bits_allocated} allocated"
        raise UnreadableImage(problem, source=source)
    if module.pixel_representation not in (0, 1) or module.planar_configuration not in (0, 1):
        raise UnreadableImage("pixel representation or planar configuration is neither 0 nor 1", source=source)
    if module.photometric_interpretation not in _COLOUR | _ONE_SAMPLE:
        raise UnsupportedImage("its photometric interpretation is not supported", source=source)
    if module.samples_per_pixel != (3 if module.photometric_interpretation in _COLOUR else 1):
        problem = f"{module.samples_per_pixel} samples a pixel contradict {module.photometric_interpretation}"
        raise UnreadableImage(problem, source=source)


def _with_frames(
    module: PixelModule, file: DicomFile, pixels: PixelElement, source: str, limits: Limits
) -> PixelModule:
    """`module` with its number of frames, checked against the limits and against the bytes that are there."""
    unshared_bits = module.rows * module.columns * 3 * module.bits_allocated
    if module.photometric_interpretation == "YBR_FULL_422" and (pixels.n_bytes or 0) * 8 >= unshared_bits:
        module = replace(module, photometric_interpretation="YBR_FULL")  # misnamed: no colour is shared
    note = file.note
    try:
        with damage(source, "the number of frames is damaged"):
            n_frames = max(1, int(file.header.get("NumberOfFrames") or 1))
    except UnreadableImage:
        n_frames = max(1, (pixels.n_bytes or 0) * 8 // module.frame_bits)
        note = "the number of frames is damaged; counted from the pixels"
    limits.check_size(module.rows, module.columns, n_frames, source=source)
    return replace(module, n_frames=n_frames, note=note)


def iter_stored(file: DicomFile, pixels: PixelElement, module: PixelModule, source: str) -> Iterator[StoredFrame]:
    """Each frame's stored values, decoded when asked for.

    Raises UnsupportedImage for a transfer syntax without decoder, UnreadableImage if a frame is missing or damaged.
    """
    with damage(source, "the transfer syntax is damaged"):
        try:
            decoder = get_decoder(file.transfer_syntax)
        except NotImplementedError:
            problem = f"no decoder for {uid_name(file.transfer_syntax) or 'its unknown transfer syntax'}"
            raise UnsupportedImage(problem, source=source) from None
    if decoder.is_native:
        yield from _iter_native(file, pixels, module, decoder, source)
    else:
        yield from _iter_encapsulated(file, pixels, module, decoder, source)


def _iter_native(
    file: DicomFile, pixels: PixelElement, module: PixelModule, decoder: Decoder, source: str
) -> Iterator[StoredFrame]:
    end = file.stream.seek(0, 2)
    available = end - pixels.offset if pixels.n_bytes is None else min(pixels.n_bytes, end - pixels.offset)
    for index in range(module.n_frames):
        if (index + 1) * module.frame_bits > available * 8:
            problem = f"truncated: {available} bytes of pixels, {-(-module.n_frames * module.frame_bits // 8)} expected"
            raise UnreadableImage(problem, source=source, frame=index)
        with damage(source, "the pixels cannot be decoded", index):
            if module.bits_allocated == 1:
                stored = _unpacked(file, pixels, module, index)
            else:
                file.stream.seek(pixels.offset)
                options = _options(module, pixels, module.n_frames)
                stored = _as_stored(*decoder.as_array(file.stream, index=index, raw=True, **options))
        yield stored


def _unpacked(file: DicomFile, pixels: PixelElement, module: PixelModule, index: int) -> StoredFrame:
    """A frame of single bits, packed from the lowest (PS3.5 D.1); a frame need not begin with a byte."""
    first_byte, first_bit = divmod(index * module.frame_bits, 8)
    file.stream.seek(pixels.offset + first_byte)
    packed = file.stream.read((first_bit + module.frame_bits + 7) // 8)
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")[first_bit:][: module.frame_bits]
    return StoredFrame(bits.reshape(module.rows, module.columns), module.photometric_interpretation, 1)


def _iter_encapsulated(
    file: DicomFile, pixels: PixelElement, module: PixelModule, decoder: Decoder, source: str
) -> Iterator[StoredFrame]:
    with damage(source, "the encapsulated pixels are damaged"):
        file.stream.seek(pixels.offset)
        offsets = [file.header.get(k) for k in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")]
        encoded = generate_frames(
            file.stream,
            number_of_frames=module.n_frames,
            extended_offsets=tuple(offsets) if all(offsets) else None,
        )
    n_found = 0
    while n_found < module.n_frames:
        with damage(source, "the encapsulated pixels are damaged", n_found):
            data = next(encoded, None)
        if data is None:
            problem = f"truncated: {n_found} frames found, {module.n_frames} expected"
            raise UnreadableImage(problem, source=source, frame=n_found)
        if RLELossless != decoder.UID:  # run lengths have no size of their own, and get the header's room
            _check_codestream(data, module, source, n_found)
        with damage(source, "the compressed pixels cannot be decoded", n_found):
            stored = _decode(data, pixels, module, decoder)
        yield stored
        n_found += 1


def _check_codestream(data: bytes, module: PixelModule, source: str, frame: int) -> None:
    """Refuses a picture whose own size is not the header's, before a decoder makes room for it, and one cut short.

    Of the latter some decoders make a grey one, and CharLS never comes back.
    """
    codestream = read_codestream(data)
    if codestream is None:
        raise UnreadableImage("the compressed picture does not say how large it is", source=source, frame=frame)
    if not is_complete(data):
        raise UnreadableImage("truncated: the compressed picture has no end marker", source=source, frame=frame)
    found = (codestream.rows, codestream.columns, codestream.samples)
    if not codestream.is_sane or found != (module.rows, module.columns, module.samples_per_pixel):
        expected = f"{module.rows} × {module.columns} × {module.samples_per_pixel}"
        problem = f"the compressed picture is {' × '.join(map(str, found))}, the header says {expected}"
        raise UnreadableImage(problem, source=source, frame=frame)


def _decode(data: bytes, pixels: PixelElement, module: PixelModule, decoder: Decoder) -> StoredFrame:
    """One compressed frame by the first decoder that can; in a second round with its scan header mended.

    Raises RuntimeError if none can, ValueError if run lengths are damaged.
    """
    if RLELossless == decoder.UID:
        return _decode_rle(data, pixels, module)
    options = _options(module, pixels, 1)
    data = without_boxes(data)
    mended = mend_scan_header(data)
    for encoded in (data, mended) if mended != data else (data,):
        for plugin in _PLUGINS:
            if plugin in decoder.available_plugins:
                with suppress(Exception):  # the next one may read it; else the error below
                    buffer = encapsulate([encoded])
                    return _as_stored(*decoder.as_array(buffer, index=0, raw=True, decoding_plugin=plugin, **options))
    raise RuntimeError("no decoder could read the frame")


def _decode_rle(data: bytes, pixels: PixelElement, module: PixelModule) -> StoredFrame:
    sample_bytes = module.bits_allocated // 8
    native = unpack_rle(data, module.rows * module.columns, module.samples_per_pixel, sample_bytes)
    misnamed = module.photometric_interpretation == "YBR_FULL_422"  # run lengths share no colour
    colour = "YBR_FULL" if misnamed else module.photometric_interpretation
    planes = replace(module, planar_configuration=1, photometric_interpretation=colour)
    options: dict[str, Any] = _options(planes, pixels, 1) | {"pixel_vr": "OW"}
    return _as_stored(*get_decoder(ExplicitVRLittleEndian).as_array(native, index=0, raw=True, **options))


def _options(module: PixelModule, pixels: PixelElement, n_frames: int) -> dict[str, Any]:
    """What pydicom's decoders want to know."""
    return {
        "rows": module.rows,
        "columns": module.columns,
        "number_of_frames": n_frames,
        "samples_per_pixel": module.samples_per_pixel,
        "bits_allocated": module.bits_allocated,
        "bits_stored": module.bits_stored,
        "pixel_representation": module.pixel_representation,
        "planar_configuration": module.planar_configuration,
        "photometric_interpretation": module.photometric_interpretation,
        "pixel_keyword": pixels.keyword,
        "pixel_vr": pixels.vr,
    }


def _as_stored(values: NDArray[Any], properties: dict[str, Any]) -> StoredFrame:
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    bits = int(properties.get("bits_stored", 8 * values.dtype.itemsize))
    return StoredFrame(native, str(properties["photometric_interpretation"]), bits)
