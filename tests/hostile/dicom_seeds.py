"""The sound DICOM files that are damaged, one function for each way to encode pixels. MARK is in their words."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from dicom_files import dicom_dataset, item, items, to_bytes
from hostile.seeds import GREY, MARK, RGB, noise, real, saved

_WORDS = ("PatientName", "PatientID", "InstitutionName", "StudyDescription", "ImageComments", "PatientComments")


def _named(dataset: Dataset) -> Dataset:
    """With MARK in the attributes that name people and places."""
    for keyword in _WORDS:
        setattr(dataset, keyword, MARK)
    return dataset


def _dicom(pixels: NDArray[Any], syntax: str | None = None, **attributes: Any) -> bytes:
    dataset = _named(dicom_dataset(pixels, **attributes))
    return to_bytes(dataset, syntax) if syntax else to_bytes(dataset)


def _encapsulated(frames: Iterable[bytes], syntax: str, pixels: NDArray[Any], **attributes: Any) -> bytes:
    """A file whose frames were compressed beforehand. pixels: of the right shape and type."""
    dataset = _named(dicom_dataset(pixels, **attributes))
    dataset.PixelData = encapsulate(list(frames))
    dataset["PixelData"].VR = "OB"
    return to_bytes(dataset, syntax)


def _compressed(pixels: NDArray[Any], syntax: str, **attributes: Any) -> bytes:
    dataset = dcmread(io.BytesIO(_dicom(pixels, **attributes)))
    dataset.compress(syntax, generate_instance_uid=False)
    return to_bytes(dataset, syntax)


def dicom_native_seeds() -> list[bytes]:
    """Every depth and byte order, windows and tables, palettes, floats, without a meta header, without pixels."""
    grey = noise(6, 8, kind="int16")
    lut = item(LUTDescriptor=[16, 0, 16], LUTData=noise(16, kind="uint16").tobytes(), ModalityLUTType=MARK)
    voi = item(LUTDescriptor=[16, 0, 8], LUTData=bytes(range(0, 256, 16)))
    palette = {f"{c}PaletteColorLookupTableDescriptor": [256, 0, 16] for c in ("Red", "Green", "Blue")}
    palette_data = {
        f"{c}PaletteColorLookupTableData": noise(256, kind="uint16").tobytes() for c in ("Red", "Green", "Blue")
    }
    return [
        _dicom(grey, WindowCenter=40, WindowWidth=400, RescaleSlope=2, RescaleIntercept=-1024),
        _dicom(grey, ImplicitVRLittleEndian, PixelPaddingValue=-5, PixelSpacing=[0.5, 0.7]),
        _dicom(grey.astype(">i2"), ExplicitVRBigEndian, PhotometricInterpretation="MONOCHROME1"),
        _dicom(noise(6, 8, kind="uint16", top=15), ModalityLUTSequence=items(lut), VOILUTSequence=items(voi)),
        _dicom(noise(6, 8), PhotometricInterpretation="PALETTE COLOR", **palette, **palette_data),
        _dicom(noise(6, 8, 3), SamplesPerPixel=3),
        _dicom(noise(6, 8, kind="float32")),
        _dicom(noise(6, 8, kind="uint32")),
        _dicom(noise(6, 8, kind="float64"), StudyID=MARK),
        *real("pydicom/dicomdirtests__98892003__MR1__15820", "pydicom/SC_rgb_small_odd.dcm"),
        *real("pydicom/ExplVR_LitEndNoMeta.dcm", "pydicom/ExplVR_BigEndNoMeta.dcm", "pydicom/nested_priv_SQ.dcm"),
        *real("pydicom/SC_rgb_small_odd_big_endian.dcm", "pydicom/reportsi.dcm", "pydicom/rtplan.dcm"),
        *real("pydicom/meta_missing_tsyntax.dcm", "pydicom/rtdose_1frame.dcm"),
    ]


def dicom_multi_frame_seeds() -> list[bytes]:
    """Cine and enhanced objects, native and compressed, with functional groups and extended offset tables."""
    frames = noise(3, 6, 8, kind="uint16")
    groups = [
        item(
            FrameVOILUTSequence=items(item(WindowCenter=30000 + n, WindowWidth=20000)),
            PixelValueTransformationSequence=items(item(RescaleSlope=1 + n, RescaleIntercept=-n, RescaleType=MARK)),
            FrameContentSequence=items(item(FrameComments=MARK)),
        )
        for n in range(3)
    ]
    shared = item(PixelMeasuresSequence=items(item(PixelSpacing=[0.5, 0.5], SliceThickness=2)))
    enhanced = {
        "PerFrameFunctionalGroupsSequence": items(*groups),
        "SharedFunctionalGroupsSequence": items(shared),
    }
    jpegs = [saved(Image.fromarray(frame), "JPEG") for frame in noise(2, 16, 16)]
    table, lengths_and_offsets = None, encapsulate_extended(jpegs)
    table = {"ExtendedOffsetTable": lengths_and_offsets[1], "ExtendedOffsetTableLengths": lengths_and_offsets[2]}
    return [
        _dicom(frames, **enhanced),
        _dicom(noise(4, 6, 8), NumberOfFrames=4),
        _dicom(noise(2, 6, 8, 3), SamplesPerPixel=3, NumberOfFrames=2),
        _dicom(np.packbits(noise(3, 16) & 1, axis=1), BitsAllocated=1, BitsStored=1, HighBit=0, Rows=3, Columns=8,
               NumberOfFrames=2, PixelData=bytes(range(6))),
        _compressed(frames, RLELossless, **enhanced),
        _encapsulated(jpegs, JPEGBaseline8Bit, noise(2, 16, 16)),
        _encapsulated(jpegs, JPEGBaseline8Bit, noise(2, 16, 16), **table),
        *real("pydicom/SC_rgb_rle_2frame.dcm"),
    ]  # fmt: skip


def dicom_rle_seeds() -> list[bytes]:
    """8, 16 and, in a real file, 32 bits, grey and colour."""
    return [
        _compressed(noise(6, 8), RLELossless),
        _compressed(noise(6, 8, kind="int16"), RLELossless),
        _compressed(noise(6, 8, 3), RLELossless, SamplesPerPixel=3),
        _compressed(noise(6, 8, 3, kind="uint16"), RLELossless, SamplesPerPixel=3),
        *real("pydicom/rtdose_rle_1frame.dcm", "pydicom/SC_rgb_rle.dcm"),
    ]


def dicom_jpeg_seeds() -> list[bytes]:
    """Baseline: grey, colour as YBR and as RGB, subsampled; extended to 12 bits in a real file."""
    grey, colour = saved(GREY, "JPEG"), saved(RGB, "JPEG")
    shape = {"SamplesPerPixel": 3}
    return [
        _encapsulated([grey], JPEGBaseline8Bit, noise(13, 17)),
        _encapsulated([colour], JPEGBaseline8Bit, noise(13, 17, 3), PhotometricInterpretation="YBR_FULL_422", **shape),
        _encapsulated([colour], JPEGBaseline8Bit, noise(13, 17, 3), PhotometricInterpretation="RGB", **shape),
        *real("pydicom/SC_rgb_small_odd_jpeg.dcm", "pydicom/SC_rgb_dcmtk_+eb+cr.dcm", "pydicom/SC_rgb_jpeg_dcmtk.dcm"),
    ]


def dicom_jpeg_lossless_seeds() -> list[bytes]:
    """Process 14: 8 and 16 bits grey, and colour in a real file."""
    grey, deep = noise(13, 17), noise(13, 17, kind="uint16")
    files = [_encapsulated([jpeg_lossless(pixels)], JPEGLosslessSV1, pixels) for pixels in (grey, deep)]
    return [*files, *real("pydicom/SC_rgb_jpeg_gdcm.dcm")]


def jpeg_lossless(pixels: NDArray[Any]) -> bytes:
    """A lossless JPEG (ITU T.81 annex H) of [H, W], predicted from the left, each category coded by its number."""
    bits, (height, width) = 8 * pixels.itemsize, pixels.shape
    left = np.empty(pixels.shape, np.int64)
    left[:, 1:] = pixels[:, :-1]
    left[1:, 0], left[0, 0] = pixels[:-1, 0], 1 << (bits - 1)
    stream = "".join(_category_and_bits(int(d)) for d in (pixels - left).ravel())
    stream += "1" * (-len(stream) % 8)
    scan = bytes(int(stream[i : i + 8], 2) for i in range(0, len(stream), 8)).replace(b"\xff", b"\xff\0")
    frame = struct.pack(">BHHBBBB", bits, height, width, 1, 1, 0x11, 0)
    table = bytes((0, 0, 0, 0, 0, 17, *[0] * 11, *range(17)))  # 17 codes of 5 bits
    segments = ((0xC3, frame), (0xC4, table), (0xDA, bytes((1, 1, 0, 1, 0, 0))))
    head = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments)
    return b"\xff\xd8" + head + scan + b"\xff\xd9"


def _category_and_bits(difference: int) -> str:
    """Modulo 2¹⁶; a negative difference is written as its complement (ITU T.81 F.1.2.1.2 and H.1.2.2)."""
    difference = (difference + 32767) % 65536 - 32767
    category = abs(difference).bit_length()
    low = difference if difference > 0 else difference + (1 << category) - 1
    return f"{category:05b}" + (f"{low:0{category}b}" if 0 < category < 16 else "")


def dicom_jpeg_ls_seeds() -> list[bytes]:
    """Lossless and near-lossless, 8 and 16 bits, each way to interleave."""
    return [
        _compressed(noise(16, 16, top=15), JPEGLSLossless),
        _compressed(noise(16, 16, kind="uint16", top=99), JPEGLSLossless),
        _compressed(noise(16, 16, 3, top=15), JPEGLSLossless, SamplesPerPixel=3),
        *real("pydicom/JPEGLSNearLossless_08.dcm", "pydicom/JPEGLSNearLossless_16.dcm"),
        *real("pydicom/SC_rgb_jls_lossy_line.dcm", "pydicom/SC_rgb_jls_lossy_sample.dcm"),
    ]


def dicom_jpeg_2000_seeds() -> list[bytes]:
    """Lossless and lossy, grey and colour, 8 and 16 bits."""
    colour, shape = saved(RGB, "JPEG2000", no_jp2=True, mct=1), {"SamplesPerPixel": 3}
    shape["PhotometricInterpretation"] = "YBR_RCT"
    return [
        _compressed(noise(40, 33, top=15), JPEG2000Lossless),
        _compressed(noise(40, 33, kind="int16", top=15), JPEG2000Lossless),
        _encapsulated([colour], JPEG2000Lossless, noise(13, 17, 3), **shape),
        _encapsulated([saved(GREY, "JPEG2000")], JPEG2000, noise(13, 17)),
        *real("pydicom/SC_rgb_gdcm_KY.dcm"),
    ]  # fmt: skip


def dicom_deflated_seeds() -> list[bytes]:
    """Grey and colour."""
    grey = _dicom(noise(6, 8, kind="int16"), DeflatedExplicitVRLittleEndian, WindowCenter=40, WindowWidth=400)
    return [grey, _dicom(noise(6, 8, 3), DeflatedExplicitVRLittleEndian, SamplesPerPixel=3)]
