from __future__ import annotations

import csv
import logging
import random
import re
import struct
import time
import tracemalloc
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array
from pydicom.uid import (
    MPEG4HP41,
    BasicTextSRStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    TwelveLeadECGWaveformStorage,
)

from dicom_files import PATIENT, dicom_bytes, dicom_dataset, item, items, to_bytes
from dualsight.errors import ImageError, ImageTooLarge, UnreadableImage, UnsupportedImage
from dualsight.image.dicom.decode import decode_dicom
from dualsight.image.dicom.meta import prompt_words
from dualsight.image.frame import Frame
from dualsight.image.limits import Limits
from picture_files import saved

FILES = Path(__file__).parents[3] / "data" / "images" / "pydicom"
MANIFEST = list(csv.DictReader((FILES.parent / "manifest.csv").read_text().splitlines()))
ROWS = {Path(row["path"]).name: row for row in MANIFEST if row["path"].startswith("pydicom/")}
DECODED_BY_PEER = sorted(name for name, row in ROWS.items() if row["peer_result"] == "decodes")

# What pydicom gives up on: read with a repair, or refused for a reason.
MENDED = {
    "JPEG-lossy.dcm": (1024, 256),  # its scan header has zeros where the standard has one choice
    "badVR.dcm": (15, 10, 10),  # its number of frames is "1A"
    "no_meta.dcm": (128, 128),  # a stray byte, then a data set without meta header
}
REFUSED = {
    "JPEG2000-embedded-sequence-delimiter.dcm": (UnreadableImage, "the header says 1024 × 256"),
    "MR_truncated.dcm": (UnreadableImage, "8130 bytes of pixels, 8192 expected"),
    "ExplVR_BigEndNoMeta.dcm": (UnsupportedImage, "no pixels: RT Ion Plan Storage"),
    "ExplVR_LitEndNoMeta.dcm": (UnsupportedImage, "no pixels: RT Ion Plan Storage"),
    "meta_missing_tsyntax.dcm": (UnreadableImage, "lacks BitsAllocated"),
    "nested_priv_SQ.dcm": (UnreadableImage, "lacks BitsAllocated"),
    "rtstruct.dcm": (UnsupportedImage, "no pixels: RT Structure Set Storage"),
    "reportsi.dcm": (UnsupportedImage, "no pixels: Basic Text SR Storage"),
    "rtplan.dcm": (UnsupportedImage, "no pixels: RT Plan Storage"),
    "waveform_ecg.dcm": (UnsupportedImage, "no pixels: 12-lead ECG Waveform Storage"),
    "dicomdirtests__DICOMDIR": (UnsupportedImage, "no pixels: Media Storage Directory Storage"),
    "zipMR.gz": (UnsupportedImage, "not a DICOM file"),
}


def frames(data: bytes | Path, **options: Any) -> list[Frame]:
    return list(decode_dicom(data, "scan.dcm", **options))


def grey(data: bytes | Path, **options: Any) -> NDArray[np.uint8]:
    """[H, W] of the only frame, after a look at its three equal channels."""
    (frame,) = frames(data, **options)
    assert frame.pixels.dtype == np.uint8
    assert np.array_equal(frame.pixels[..., 0], frame.pixels[..., 1])
    assert np.array_equal(frame.pixels[..., 0], frame.pixels[..., 2])
    return frame.pixels[..., 0]


RAMP = np.arange(-1024, 3072, 16, dtype=np.int16).reshape(16, 16)  # HU


# --- the manifest


@pytest.mark.parametrize("name", DECODED_BY_PEER)
def test_what_pydicom_decodes_has_pydicoms_values(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(FILES / name)
        stored = pixel_array(dataset)
    stored = stored if dataset.get("NumberOfFrames", 1) > 1 else stored[None]
    ours = frames(FILES / name)
    for frame, values in zip(ours, stored, strict=True):
        expected = shown_by_pydicom(dataset, values)
        assert frame.pixels.shape == (*expected.shape[:2], 3)
        assert np.abs(frame.pixels - expected).max() <= 1


def shown_by_pydicom(dataset: pydicom.Dataset, stored: NDArray[Any]) -> NDArray[np.float64]:
    """float [H, W, 1 or 3], 0…255: pydicom's modality and VOI LUTs, then their full output scale on 0…255."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            colour = apply_color_lut(stored, dataset)
            return colour / np.iinfo(colour.dtype).max * 255
        if not dataset.PhotometricInterpretation.startswith("MONOCHROME"):
            return stored / (2**dataset.BitsStored - 1) * 255
        shown = apply_voi_lut(apply_modality_lut(stored, dataset), dataset).astype(np.float64)
        if "WindowCenter" in dataset:
            low, high = apply_voi_lut(np.array([-1e9, 1e9]), dataset)  # both ends of the output scale
        else:
            padding = dataset.get("PixelPaddingValue")
            counted = shown if padding is None else shown[stored != padding]
            low, high = counted.min(), counted.max()
        expected = (shown - low) / (high - low) * 255
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            expected = 255 - expected
        return np.clip(expected, 0, 255)[..., None]


@pytest.mark.parametrize("name", MENDED)
def test_what_pydicom_gives_up_on_is_mended(name: str) -> None:
    ours = frames(FILES / name)
    shape = MENDED[name]
    assert len(ours) == (shape[0] if len(shape) == 3 else 1)
    assert ours[0].pixels.shape == (*shape[-2:], 3)


def test_a_mended_file_shows_the_same_picture_as_its_undamaged_twin() -> None:
    assert np.array_equal(grey(FILES / "no_meta.dcm"), grey(FILES / "CT_small.dcm"))
    assert np.array_equal(grey(FILES / "JPEG-lossy.dcm"), grey(FILES / "JPGExtended.dcm"))
    for mended, sound in zip(frames(FILES / "badVR.dcm"), frames(FILES / "rtdose.dcm"), strict=True):
        assert np.array_equal(mended.pixels, sound.pixels)


def test_a_mended_file_says_so() -> None:
    assert "meta header" in (frames(FILES / "no_meta.dcm")[0].meta.note or "")
    assert "number of frames" in (frames(FILES / "badVR.dcm")[0].meta.note or "")


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_shown_is_refused_with_its_reason(name: str) -> None:
    kind, reason = REFUSED[name]
    with pytest.raises(kind, match=re.escape(reason)):
        frames(FILES / name)


# --- windows


def test_without_a_window_the_full_range_is_shown() -> None:
    shown = grey(dicom_bytes(RAMP))
    assert shown.min() == 0 and shown.max() == 255
    assert frames(dicom_bytes(RAMP))[0].meta.window == "full range, -1024 to 3056"


def test_padding_does_not_count_for_the_full_range() -> None:
    padded = RAMP.copy()
    padded[0] = -32768
    data = dicom_bytes(padded, PixelPaddingValue=-32768)
    assert frames(data)[0].meta.window == "full range, -768 to 3056"
    assert grey(data)[0].max() == 0
    ranged = dicom_bytes(padded, PixelPaddingValue=-32768, PixelPaddingRangeLimit=-700)
    assert frames(ranged)[0].meta.window == "full range, -688 to 3056"


def test_the_headers_first_window_is_used_with_its_rescale() -> None:
    stored = (RAMP + 1024).astype(np.uint16)
    data = dicom_bytes(stored, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=[40, 400], WindowWidth=[400, 1800])
    assert np.array_equal(grey(data), grey(data, window=(40, 400)))
    assert frames(data)[0].meta.window == "header window, centre 40, width 400"
    assert np.array_equal(grey(data), grey(data, window="dicom"))


@pytest.mark.parametrize("function", ["LINEAR_EXACT", "SIGMOID"])
def test_the_headers_window_function_is_used(function: str) -> None:
    window = {"WindowCenter": 40, "WindowWidth": 400}
    shown = grey(dicom_bytes(RAMP, **window, VOILUTFunction=function))
    assert not np.array_equal(shown, grey(dicom_bytes(RAMP, **window)))
    assert (
        function.lower().replace("_", " ")
        in frames(dicom_bytes(RAMP, **window, VOILUTFunction=function))[0].meta.window
    )


def test_an_unknown_window_function_stops_the_work() -> None:
    data = dicom_bytes(RAMP, WindowCenter=40, WindowWidth=400, VOILUTFunction="CUBIC")
    with pytest.raises(UnsupportedImage, match="VOI LUT function"):
        frames(data)


def test_a_voi_lut_wins_over_a_window() -> None:
    stored = np.arange(16, dtype=np.uint8).reshape(4, 4)
    steps = [255] * 8 + [0] * 8
    lut = item(LUTDescriptor=[16, 0, 8], LUTData=steps)
    lut["LUTData"].VR = lut["LUTDescriptor"].VR = "US"
    shown = grey(dicom_bytes(stored, VOILUTSequence=items(lut), WindowCenter=8, WindowWidth=2))
    assert shown.ravel().tolist() == steps


def test_a_tables_first_value_is_signed_where_pixels_are() -> None:
    stored = np.array([[-2, -1], [0, 1]], np.int16)
    lut = item(LUTDescriptor=[4, 65534, 8], LUTData=[10, 20, 30, 40])  # -2, as an unsigned number
    lut["LUTData"].VR = lut["LUTDescriptor"].VR = "US"
    assert grey(dicom_bytes(stored, VOILUTSequence=items(lut))).ravel().tolist() == [10, 20, 30, 40]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_tables_words_have_the_files_byte_order(syntax: str) -> None:
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    stored = np.arange(4, dtype=np.uint8).reshape(1, 4)
    lut = item(LUTDescriptor=[4, 0, 16], LUTData=np.array([0, 300, 2600, 65535], f"{order}u2").tobytes())
    lut["LUTData"].VR, lut["LUTDescriptor"].VR = "OW", "US"
    dataset = dicom_dataset(stored, VOILUTSequence=items(lut))
    assert grey(to_bytes(dataset, syntax)).ravel().tolist() == [0, 1, 10, 255]


def test_a_modality_lut_comes_before_the_window() -> None:
    stored = np.arange(4, dtype=np.uint8).reshape(2, 2)
    lut = item(LUTDescriptor=[4, 0, 16], LUTData=[0, 1000, 2000, 65535], ModalityLUTType="US")
    lut["LUTData"].VR = lut["LUTDescriptor"].VR = "US"
    data = dicom_bytes(stored, ModalityLUTSequence=items(lut))
    assert grey(data).ravel().tolist() == [0, 4, 8, 255]
    assert grey(data, window=(1000, 1)).ravel().tolist() == [0, 255, 255, 255]


def test_named_windows_are_for_ct_only() -> None:
    assert np.array_equal(grey(dicom_bytes(RAMP), window="lung"), grey(dicom_bytes(RAMP), window=(-600, 1500)))
    assert frames(dicom_bytes(RAMP), window="lung")[0].meta.window == "lung window, centre -600, width 1500"
    with pytest.raises(UnsupportedImage, match="no CT"):
        frames(dicom_bytes(RAMP, Modality="MR"), window="lung")


@pytest.mark.parametrize("window", ["lungs", (40, 0), (float("nan"), 400), (40, -5)])
def test_a_window_that_cannot_be_meant_is_refused(window: Any) -> None:
    with pytest.raises(UnsupportedImage, match="window"):
        frames(dicom_bytes(RAMP), window=window)


def test_the_window_dicom_insists_on_the_header() -> None:
    with pytest.raises(UnsupportedImage, match="no window") as caught:
        frames(dicom_bytes(RAMP), window="dicom")
    assert "auto" in caught.value.hint


def test_a_void_window_of_the_header_gives_the_full_range() -> None:
    assert frames(dicom_bytes(RAMP, WindowCenter=0, WindowWidth=0))[0].meta.window.startswith("full range")


# --- photometric interpretation and depth


def test_monochrome1_is_monochrome2_inverted() -> None:
    data = {p: grey(dicom_bytes(RAMP, PhotometricInterpretation=p)) for p in ("MONOCHROME1", "MONOCHROME2")}
    assert np.array_equal(data["MONOCHROME1"], 255 - data["MONOCHROME2"])


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.float32, np.float64])
def test_every_stored_type_spans_black_to_white(kind: type) -> None:
    stored = np.linspace(0, 100, 256).reshape(16, 16).astype(kind)
    expected = np.floor(stored.astype(np.float64) / 100 * 255 + 0.5).astype(np.uint8)
    assert np.array_equal(grey(dicom_bytes(stored)), expected)


@pytest.mark.parametrize("bits", [1, 7, 10, 12, 13])
def test_bits_above_the_stored_ones_are_ignored(bits: int) -> None:
    stored = np.arange(256, dtype=np.uint16).reshape(16, 16) % 2**bits
    data = dicom_bytes(stored | np.uint16(1 << bits), BitsStored=bits, HighBit=bits - 1)
    assert np.array_equal(grey(data), grey(dicom_bytes(stored)))


def test_single_bits_are_unpacked_across_frames() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (3, 5, 3), np.uint8)  # 15 bits a frame: not whole bytes
    packed = np.packbits(bits.ravel(), bitorder="little")
    data = dicom_bytes(
        np.zeros((1, 1), np.uint8),
        Rows=5, Columns=3, NumberOfFrames=3, BitsAllocated=1, BitsStored=1, HighBit=0, PixelData=packed.tobytes(),
    )  # fmt: skip
    for frame, expected in zip(frames(data), bits, strict=True):
        assert np.array_equal(frame.pixels[..., 0], expected * 255)


def test_sixteen_bit_colour_keeps_its_full_scale() -> None:
    stored = np.array([[[0, 32768, 65535]]], np.uint16)
    data = dicom_bytes(stored, SamplesPerPixel=3)
    assert frames(data)[0].pixels.tolist() == [[[0, 128, 255]]]
    assert frames(data)[0].meta.window is None


def test_planes_and_ybr_are_undone() -> None:
    red_ybr = np.array([76, 85, 255], np.uint8)  # T.871's rounding of pure red
    planes = np.broadcast_to(red_ybr[:, None, None], (3, 2, 2))
    data = dicom_bytes(
        np.zeros((2, 2, 3), np.uint8),
        SamplesPerPixel=3,
        PlanarConfiguration=1,
        PhotometricInterpretation="YBR_FULL",
        PixelData=planes.tobytes(),
    )
    assert np.abs(frames(data)[0].pixels.astype(int) - [255, 0, 0]).max() <= 1


def test_colour_that_is_not_shared_is_read_in_spite_of_its_name() -> None:
    stored = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    as_named = dicom_bytes(stored, SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL")
    misnamed = dicom_bytes(stored, SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL_422")
    assert np.array_equal(frames(misnamed)[0].pixels, frames(as_named)[0].pixels)


def palette_attributes(red: list[int], green: list[int], blue: list[int], bits: int = 16) -> dict[str, Any]:
    made: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, entries in (("Red", red), ("Green", green), ("Blue", blue)):
        made[f"{name}PaletteColorLookupTableDescriptor"] = [len(entries), 0, bits]
        made[f"{name}PaletteColorLookupTableData"] = np.array(entries, "<u2").tobytes()
    return made


def test_a_palette_gives_its_colours() -> None:
    stored = np.array([[0, 1], [2, 3]], np.uint8)
    data = dicom_bytes(stored, **palette_attributes([0, 65535, 0, 0], [0, 0, 0x8000, 0], [0, 0, 0, 0xFF00]))
    assert frames(data)[0].pixels.tolist() == [[[0, 0, 0], [255, 0, 0]], [[0, 128, 0], [0, 0, 255]]]


def test_eight_bit_colours_in_sixteen_bit_entries_are_not_shown_black() -> None:
    data = dicom_bytes(np.array([[0, 1]], np.uint8), **palette_attributes([0, 255], [0, 128], [0, 1]))
    assert frames(data)[0].pixels.tolist() == [[[0, 0, 0], [255, 128, 1]]]


def test_a_photometric_interpretation_that_is_not_read_is_unsupported() -> None:
    with pytest.raises(UnsupportedImage, match="photometric"):
        frames(dicom_bytes(np.zeros((2, 2, 3), np.uint8), SamplesPerPixel=3, PhotometricInterpretation="HSV"))


def test_overlays_are_left_off() -> None:
    path = FILES / "examples_overlay.dcm"
    dataset = pydicom.dcmread(path)
    assert 0x60003000 in dataset
    del dataset[0x60003000]
    assert np.array_equal(grey(path), grey(to_bytes(dataset)))


# --- constant, not finite


def test_a_constant_picture_without_a_window_is_an_error_and_with_one_it_is_shown() -> None:
    data = dicom_bytes(np.full((4, 4), 40, np.int16))
    with pytest.raises(UnreadableImage, match="same value"):
        frames(data)
    assert np.unique(grey(data, window=(40, 400))).tolist() == [128]


def test_a_constant_frame_among_others_is_black_with_a_note() -> None:
    stored = np.stack([np.zeros((4, 4), np.int16), RAMP[:4, :4]])
    blank, ramp = frames(dicom_bytes(stored))
    assert blank.pixels.max() == 0 and "same value" in (blank.meta.note or "")
    assert ramp.pixels.max() == 255 and ramp.meta.note is None


def test_what_is_not_finite_is_black_or_white_and_does_not_count() -> None:
    stored = np.array([[np.nan, 0, 10], [np.inf, 5, -np.inf]], np.float32)
    assert grey(dicom_bytes(stored)).tolist() == [[0, 0, 255], [255, 128, 0]]
    with pytest.raises(UnreadableImage, match="no pixel"):
        frames(dicom_bytes(np.full((2, 2), np.nan, np.float32)))


# --- multi-frame


def test_enhanced_frames_use_their_own_functional_groups() -> None:
    stored = np.stack([RAMP, RAMP, RAMP])
    per_frame = items(
        *(
            item(
                FrameVOILUTSequence=items(item(WindowCenter=centre, WindowWidth=400)),
                PixelValueTransformationSequence=items(item(RescaleSlope=slope, RescaleIntercept=0, RescaleType="HU")),
            )
            for centre, slope in ((40, 1), (300, 1), (300, 2))
        )
    )
    data = dicom_bytes(stored, SOPClassUID=EnhancedCTImageStorage, PerFrameFunctionalGroupsSequence=per_frame)
    shown = frames(data)
    assert [f.meta.window for f in shown] == [f"header window, centre {centre}, width 400" for centre in (40, 300, 300)]
    single = [dicom_bytes(RAMP * np.int16(slope)) for slope in (1, 1, 2)]
    for frame, data, centre in zip(shown, single, (40, 300, 300), strict=True):
        assert np.array_equal(frame.pixels[..., 0], grey(data, window=(centre, 400)))


def test_enhanced_frames_share_a_group_that_they_do_not_have_themselves() -> None:
    shared = item(
        FrameVOILUTSequence=items(item(WindowCenter=40, WindowWidth=400)),
        PixelMeasuresSequence=items(item(PixelSpacing=[0.5, 0.25])),
    )
    data = dicom_bytes(np.stack([RAMP, RAMP]), SharedFunctionalGroupsSequence=items(shared))
    assert [f.meta.window for f in frames(data)] == ["header window, centre 40, width 400"] * 2
    assert frames(data)[0].meta.spacing_mm == (0.5, 0.25)


def test_frames_are_decoded_when_they_are_asked_for() -> None:
    data = bytearray(dicom_bytes(np.stack([RAMP] * 3)))
    stream = decode_dicom(bytes(data[: -RAMP.nbytes - 10]), "cine.dcm")  # the second frame is cut, the third missing
    first = next(stream)
    assert (first.frame_index, first.n_frames) == (0, 3)
    with pytest.raises(UnreadableImage, match=r"cine\.dcm, frame 1: truncated") as caught:
        next(stream)
    assert caught.value.frame == 1


def test_missing_encapsulated_frames_are_truncation() -> None:
    dataset = pydicom.dcmread(FILES / "SC_rgb_rle_2frame.dcm")
    dataset.NumberOfFrames = 3
    stream = decode_dicom(to_bytes(dataset, RLELossless), "cine.dcm")
    assert len([next(stream), next(stream)]) == 2
    with pytest.raises(ImageError, match="frame 2"):
        next(stream)


# --- encodings


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_the_header_may_be_encoded_in_any_way(syntax: str) -> None:
    dataset = dicom_dataset(RAMP)
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = RAMP.astype(">i2").tobytes()
    assert np.array_equal(grey(to_bytes(dataset, syntax)), grey(dicom_bytes(RAMP)))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, "explicit"])
def test_a_file_without_meta_header_is_read(syntax: str, tmp_path: Path) -> None:
    dataset = dicom_dataset(RAMP, WindowCenter=40, WindowWidth=400)
    little = syntax != ExplicitVRBigEndian
    if not little:
        dataset.PixelData = RAMP.astype(">i2").tobytes()
    path = tmp_path / "bare"
    dataset.save_as(path, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=little)
    assert path.read_bytes()[128:132] != b"DICM"
    (frame,) = frames(path)
    assert np.array_equal(frame.pixels, frames(dicom_bytes(RAMP), window=(40, 400))[0].pixels)
    assert frame.meta.note == "no DICOM meta header"


def test_a_compressed_file_that_names_no_transfer_syntax_is_told_by_its_first_picture() -> None:
    name = "MR_small_jpeg_ls_lossless.dcm"
    bare = (FILES / name).read_bytes()
    assert bare.count(JPEGLSLossless.encode()) == 1
    start = 132 + 12 + int.from_bytes(bare[140:144], "little")  # behind group 0002
    assert np.array_equal(grey(bare[start:]), grey(FILES / name))


def test_defaults_replace_what_a_header_may_lack() -> None:
    data = dicom_bytes(RAMP.astype(np.uint16), without=("SamplesPerPixel", "BitsStored", "PixelRepresentation"))
    assert np.array_equal(grey(data), grey(dicom_bytes(RAMP.astype(np.uint16))))


def test_a_transfer_syntax_without_decoder_is_named() -> None:
    dataset = dicom_dataset(RAMP.astype(np.uint8))
    dataset.PixelData = encapsulate([b"\0" * 100])
    with pytest.raises(UnsupportedImage, match="MPEG-4"):
        frames(to_bytes(dataset, MPEG4HP41))


# --- no pixels, limits, privacy


@pytest.mark.parametrize(
    ("sop_class", "name"),
    [
        (EncapsulatedPDFStorage, "Encapsulated PDF Storage"),
        (BasicTextSRStorage, "Basic Text SR Storage"),
        (TwelveLeadECGWaveformStorage, "12-lead ECG Waveform Storage"),
        (GrayscaleSoftcopyPresentationStateStorage, "Grayscale Softcopy Presentation State Storage"),
    ],
)
def test_an_object_without_pixels_is_named_by_its_class(sop_class: str, name: str) -> None:
    with pytest.raises(UnsupportedImage, match=re.escape(f"scan.dcm: no pixels: {name}")):
        frames(dicom_bytes(None, SOPClassUID=sop_class))


@pytest.mark.parametrize(
    ("attributes", "limits"),
    [
        ({"Rows": 65535, "Columns": 65535}, Limits()),
        ({"NumberOfFrames": 2_000_000_000}, Limits()),
        ({}, Limits(pixels=100)),
        ({"NumberOfFrames": 4}, Limits(total_pixels=1000)),
        ({}, Limits(file_bytes=300)),
    ],
)
def test_what_is_over_a_limit_is_refused_before_it_is_decoded(attributes: dict[str, int], limits: Limits) -> None:
    with pytest.raises(ImageTooLarge, match=r"scan\.dcm"):
        frames(dicom_bytes(RAMP, **attributes), limits=limits)


def test_a_deflated_bomb_is_refused_before_it_is_unpacked() -> None:
    data = dicom_bytes(RAMP, EncapsulatedDocument=bytes(50_000_000), syntax=DeflatedExplicitVRLittleEndian)
    assert len(data) < 100_000
    tracemalloc.start()
    with pytest.raises(ImageTooLarge):
        frames(data, limits=Limits(file_bytes=1_000_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_a_compressed_picture_of_another_size_than_its_header_is_refused() -> None:
    dataset = pydicom.dcmread(FILES / "MR_small_jp2klossless.dcm")
    dataset.Rows = 32
    with pytest.raises(UnreadableImage, match="64 × 64 × 1, the header says 32 × 64 × 1"):
        frames(to_bytes(dataset, dataset.file_meta.TransferSyntaxUID))


def test_a_truncated_compressed_picture_is_an_error_not_a_grey_one() -> None:
    for name in ("MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm", "JPGExtended.dcm"):
        with pytest.raises(UnreadableImage):
            frames((FILES / name).read_bytes()[:-1500])


@pytest.mark.parametrize("keyword", ["Rows", "BitsAllocated", "WindowCenter", "RescaleSlope", "PixelPaddingValue"])
def test_no_error_shows_what_a_damaged_header_holds(keyword: str, caplog: pytest.LogCaptureFixture) -> None:
    dataset = dicom_dataset(RAMP, WindowCenter=40, WindowWidth=400, RescaleSlope=1, RescaleIntercept=0)
    if keyword == "PixelPaddingValue":
        del dataset.WindowCenter
    dataset.add_new(keyword, "LO", PATIENT)
    data = to_bytes(dataset)
    with caplog.at_level(logging.DEBUG), pytest.raises(UnreadableImage) as caught:
        frames(data)
    assert "Doe" not in str(caught.value) + caught.value.hint + caplog.text
    assert caught.value.__cause__ is None and caught.value.__suppress_context__  # nor does a traceback


def test_odd_headers_make_no_warning_and_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("pydicom").setLevel(logging.DEBUG)
    try:
        with caplog.at_level(logging.DEBUG), warnings.catch_warnings():
            warnings.simplefilter("error")
            data = dicom_bytes(RAMP, StudyDate="19990101").replace(b"19990101", b"1999\\\\//")
            frames(data)
        assert caplog.records == []
        assert logging.getLogger("pydicom").level == logging.DEBUG
    finally:
        logging.getLogger("pydicom").setLevel(logging.NOTSET)


def test_a_missing_file_is_an_image_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="No such file"):
        frames(tmp_path / "none.dcm")


# --- what the header says


def test_the_header_becomes_metadata_and_a_prompt() -> None:
    data = dicom_bytes(
        RAMP,
        Modality="DX",
        BodyPartExamined="CHEST",
        ViewPosition="AP",
        ImagerPixelSpacing=[0.15, 0.2],
        StudyInstanceUID="1.2.3",
        SeriesInstanceUID="1.2.4",
    )
    meta = frames(data)[0].meta
    assert prompt_words(meta) == "x-ray chest anteroposterior"
    assert (meta.format, meta.modality, meta.body_part, meta.view) == ("DICOM", "DX", "CHEST", "AP")
    assert (meta.rows, meta.columns, meta.bits, meta.spacing_mm) == (16, 16, 16, (0.15, 0.2))
    assert (meta.study_instance_uid, meta.series_instance_uid, meta.sop_class_uid) == ("1.2.3", "1.2.4", CTImageStorage)
    assert PATIENT not in repr(meta) and "4711" not in repr(meta)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"Modality": "CR"}, "x-ray"),
        ({"Modality": "MR", "BodyPartExamined": "LSPINE"}, "mri lumbar spine"),
        ({"Modality": "US"}, "ultrasound"),
        ({"Modality": "SEG", "BodyPartExamined": "LIVER"}, "liver"),
        (
            {"Modality": "MG", "BodyPartExamined": "BREAST", "ViewPosition": "MLO"},
            "mammography breast mediolateral oblique",
        ),
        ({"Modality": ""}, ""),
    ],
)
def test_prompt_words(attributes: dict[str, str], words: str) -> None:
    assert prompt_words(frames(dicom_bytes(RAMP, **attributes))[0].meta) == words


def test_pixels_become_square_on_request() -> None:
    data = dicom_bytes(RAMP, PixelAspectRatio=[2, 1])  # twice as tall as wide
    assert frames(data)[0].pixels.shape == (16, 16, 3)
    assert frames(data, square_pixels=True)[0].pixels.shape == (32, 16, 3)
    spaced = dicom_bytes(RAMP, PixelSpacing=[0.5, 1.0])
    assert frames(spaced, square_pixels=True)[0].pixels.shape == (16, 32, 3)
    with pytest.raises(ImageTooLarge):
        frames(dicom_bytes(RAMP, PixelAspectRatio=[50, 1]), square_pixels=True, limits=Limits(pixels=1000))
    with pytest.raises(UnreadableImage, match="100000 by 1 is damage"):
        frames(dicom_bytes(RAMP, PixelAspectRatio=[100000, 1]), square_pixels=True)


def test_a_transfer_syntax_that_is_no_uid_is_not_quoted() -> None:
    """Found by fuzzing: whatever stood there was in the error."""
    data = dicom_bytes(RAMP).replace(b"1.2.840.10008.1.2.1\0", PATIENT.encode().ljust(20, b"\0"))
    with pytest.raises(UnsupportedImage, match="no decoder for its unknown transfer syntax") as raised:
        frames(data)
    assert PATIENT not in str(raised.value)


def test_a_file_cut_before_its_pixels_is_broken_not_without_pixels() -> None:
    data = dicom_bytes(RAMP)
    with pytest.raises(UnreadableImage, match="its header describes pixels, and none follow"):
        frames(data[: data.index(b"\xe0\x7f\x10\x00")])


def test_run_lengths_that_give_too_much_are_read_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    """Found by fuzzing: a decoder panicked on stderr."""
    dataset = dicom_dataset(np.zeros((2, 2), np.uint16))
    dataset.PixelData = encapsulate([struct.pack("<16L", 2, 64, 70, *[0] * 13) + b"\x03abcd\x80\xc8\x01"])
    assert frames(to_bytes(dataset, RLELossless))[0].pixels[1, 1, 0] == 255
    assert capfd.readouterr() == ("", "")


def test_a_jpeg_2000_box_of_length_zero_is_no_endless_loop() -> None:
    """Found by fuzzing: pydicom walked the boxes for ever."""
    boxed = saved(RAMP.astype(np.uint8), "JPEG2000")
    dataset = dicom_dataset(RAMP.astype(np.uint8))
    dataset.PixelData = encapsulate([boxed[:12] + bytes(4) + boxed[16:]])
    (frame,) = frames(to_bytes(dataset, JPEG2000Lossless))
    assert frame.pixels.shape[:2] == RAMP.shape


# --- mutations


@pytest.mark.parametrize(
    "name",
    [
        "MR_small.dcm",
        "MR_small_RLE.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "SC_rgb_small_odd_jpeg.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "image_dfl.dcm",
        "reportsi.dcm",
    ],
)
def test_mutated_files_give_frames_or_an_image_error_in_time(name: str) -> None:
    original = (FILES / name).read_bytes()
    generator = random.Random(zlib.crc32(name.encode()))
    for _ in range(40):
        data = mutated(original, generator)
        started = time.process_time()
        try:
            for frame in frames(data):
                assert frame.pixels.dtype == np.uint8 and frame.pixels.shape[2] == 3
        except ImageError as error:
            assert str(error).startswith("scan.dcm")
        assert time.process_time() - started < 5


def mutated(original: bytes, generator: random.Random) -> bytes:
    """A copy with bytes changed, dropped, added, or its end cut off."""
    data = bytearray(original)
    for _ in range(generator.choice([1, 2, 4])):
        at = generator.randrange(len(data))
        match generator.randrange(5):
            case 0 | 1:
                data[at] = generator.randrange(256)
            case 2:
                data[at : at + 4] = generator.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xfe\xff\xdd\xe0"])
            case 3:
                del data[at : at + generator.randrange(1, 64)]
            case 4:
                data = data[: at + 1]
    return bytes(data)


def test_a_decoder_that_would_end_the_process_is_not_asked() -> None:
    """GDCM terminates on this Adobe marker; found by mutation."""
    data = (FILES / "SC_rgb_jpeg_gdcm.dcm").read_bytes()
    marker = data.index(b"Adobe") + len(b"Adobe") + 6
    with pytest.raises(UnreadableImage, match="cannot be decoded"):
        frames(data[:marker] + b"\xed" + data[marker + 1 :])


# --- how large a thing may become, asked of every way to write it

PREAMBLE = bytes(128) + b"DICM"
DEFLATED = DeflatedExplicitVRLittleEndian.encode()
NAMED = struct.pack("<HH2sH", 2, 0x10, b"UI", len(DEFLATED)) + DEFLATED
META_HEADERS = {
    "explicit": NAMED,
    "implicit": struct.pack("<HHL", 2, 0x10, len(DEFLATED)) + DEFLATED,
    "behind a long element": struct.pack("<HH2sHL", 2, 1, b"OB", 0, 70_000) + bytes(70_000) + NAMED,
    "behind a VR of 2019": struct.pack("<HH2sHL", 2, 3, b"SV", 0, 8) + bytes(8) + NAMED,
}


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def without_meta_header(data: bytes) -> bytes:
    return data[132 + 12 + int.from_bytes(data[140:144], "little") :]


@pytest.mark.parametrize("meta_header", META_HEADERS)
@pytest.mark.parametrize("preamble", [PREAMBLE, b""])
def test_a_deflated_data_set_is_read_and_bounded_however_its_meta_header_is_written(
    preamble: bytes, meta_header: str
) -> None:
    """pydicom inflates without a limit what it finds to be deflated."""
    head = preamble + META_HEADERS[meta_header]
    assert np.array_equal(grey(head + deflate(without_meta_header(dicom_bytes(RAMP)))), grey(dicom_bytes(RAMP)))
    bomb = without_meta_header(dicom_bytes(RAMP, EncapsulatedDocument=bytes(5_000_000)))
    with pytest.raises(ImageTooLarge):
        frames(head + deflate(bomb), limits=Limits(file_bytes=1_000_000))


def test_a_data_set_deflated_within_itself_is_refused() -> None:
    """Its meta header goes on inside, and there says once more that the rest is deflated."""
    bomb = without_meta_header(dicom_bytes(RAMP, EncapsulatedDocument=bytes(5_000_000)))
    with pytest.raises(UnreadableImage, match="deflated again"):
        frames(PREAMBLE + NAMED + deflate(NAMED + deflate(bomb)), limits=Limits(file_bytes=1_000_000))


def test_a_jpeg_2000_behind_many_boxes_is_held_to_the_headers_size() -> None:
    boxed = saved(RAMP.astype(np.uint8), "JPEG2000")
    boxed = boxed[:12] + struct.pack(">L4s", 5008, b"free") + bytes(5000) + boxed[12:]
    dataset = dicom_dataset(RAMP.astype(np.uint8))
    dataset.PixelData = encapsulate([boxed])
    assert grey(to_bytes(dataset, JPEG2000Lossless)).shape == RAMP.shape
    dataset.Rows = 8
    with pytest.raises(UnreadableImage, match="16 × 16 × 1, the header says 8 × 16 × 1"):
        frames(to_bytes(dataset, JPEG2000Lossless))


def test_a_jpeg_that_hides_its_size_is_refused() -> None:
    """Pillow steps over bytes that belong to no segment."""
    jpeg = saved(RAMP.astype(np.uint8), "JPEG")
    dataset = dicom_dataset(RAMP.astype(np.uint8))
    dataset.PixelData = encapsulate([jpeg[:2] + b"\0" + jpeg[2:]])
    with pytest.raises(UnreadableImage, match="does not say how large it is"):
        frames(to_bytes(dataset, JPEGBaseline8Bit))


# --- numbers that say less than the data


def test_a_voi_lut_whose_entries_have_more_bits_than_it_says_goes_up_to_white() -> None:
    stored = np.arange(4, dtype=np.uint8).reshape(2, 2)
    lut = item(LUTDescriptor=[4, 0, 8], LUTData=[0, 100, 500, 1000])
    lut["LUTData"].VR = lut["LUTDescriptor"].VR = "US"
    assert grey(dicom_bytes(stored, VOILUTSequence=items(lut))).ravel().tolist() == [0, 26, 128, 255]


def test_sixteen_bit_colours_that_are_called_eight_bit_ones_do_not_wrap() -> None:
    colours = palette_attributes([0, 65535], [0, 0x8000], [0, 0x00FF], bits=8)
    data = dicom_bytes(np.array([[0, 1]], np.uint8), **colours)
    assert frames(data)[0].pixels.tolist() == [[[0, 0, 0], [255, 128, 0]]]


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_colour_is_never_signed(photometric: str) -> None:
    stored = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    signed, unsigned = (
        dicom_bytes(stored, SamplesPerPixel=3, PhotometricInterpretation=photometric, PixelRepresentation=sign)
        for sign in (1, 0)
    )
    assert np.array_equal(frames(signed)[0].pixels, frames(unsigned)[0].pixels)


def test_a_file_that_cannot_be_read_is_an_image_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "scan.dcm"
    path.write_bytes(dicom_bytes(RAMP))
    monkeypatch.setattr(Path, "open", denied)  # root, who runs CI, may read every file
    with pytest.raises(UnreadableImage, match="Permission denied"):
        frames(path)
