"""The sound files that are damaged: small real ones, and made ones for layouts that those lack.

Each made file holds MARK wherever its format has room for words, as patients' names stand in such places.
"""

from __future__ import annotations

import gzip
import io
import struct
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
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
from picture_files import png, png_chunk, tiff
from slide_files import halved, stained, write_slide

FILES = Path(__file__).parents[1] / "data" / "images"
MARK = "Qzx^Vjkwph"

_WORDS = ("PatientName", "PatientID", "InstitutionName", "StudyDescription", "ImageComments", "PatientComments")


def _real(*names: str) -> list[bytes]:
    return [(FILES / name).read_bytes() for name in names]


def noise(*shape: int, kind: str = "uint8", top: int | None = None) -> NDArray[Any]:
    """Always the same values of that shape."""
    generator = np.random.default_rng(len(shape) * 100 + shape[0])
    if kind.startswith("f"):
        return generator.normal(size=shape).astype(kind)
    return generator.integers(0, top or np.iinfo(kind).max, shape, dtype=kind, endpoint=True)


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.copy().save(buffer, kind, **options)  # Pillow leaves options of one format behind for the next
    return buffer.getvalue()


RGB = Image.fromarray(noise(13, 17, 3))
RGBA = Image.fromarray(noise(13, 17, 4))
GREY = Image.fromarray(noise(13, 17))


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, MARK
    return exif


def png_seeds() -> list[bytes]:
    """8 and 16 bits, palettes, transparency, interlacing, animation."""
    words = PngImagePlugin.PngInfo()
    words.add_text("Comment", MARK, zip=True)
    text = png_chunk(b"tEXt", MARK.encode())
    return [
        _saved(RGB, "PNG", pnginfo=words, exif=_exif()),
        _saved(RGBA, "PNG"),
        _saved(GREY.convert("1"), "PNG"),
        _saved(RGB.quantize(16), "PNG", transparency=3),
        _saved(RGB, "PNG", save_all=True, append_images=[RGB.rotate(180), RGB.rotate(90)]),
        *(png(noise(5, 7, channels, kind="uint16"), extra=text) for channels in (1, 2, 3, 4)),
        *_real("scikit-image/palette_gray.png", "pillow/apng__dispose_op_previous_region.png", "pillow/p_16.png"),
        *_real("pillow/xmp_tags_orientation_exiftool.png", "pillow/apng__mode_16bit.png", "pillow/p_trns_single.png"),
    ]


def jpeg_seeds() -> list[bytes]:
    """Baseline, progressive, grey, CMYK, subsampled, restart markers, Exif, MPO."""
    words = {"comment": MARK, "exif": _exif()}
    return [
        _saved(RGB, "JPEG", **words),
        _saved(RGB, "JPEG", progressive=True, **words),
        _saved(RGB, "JPEG", subsampling="4:2:0", restart_marker_blocks=1, **words),
        _saved(GREY, "JPEG", **words),
        _saved(RGB.convert("CMYK"), "JPEG", **words),
        _saved(RGB, "MPO", save_all=True, append_images=[RGB.rotate(180)]),
        *_real("pillow/hopper_16bit_qtables.jpg", "pillow/orientation_rectangle.jpg", "pillow/multiple_exif.jpg"),
    ]


def tiff_seeds() -> list[bytes]:
    """Strips and tiles, both byte orders, every compression, deep and shallow, several pages, BigTIFF."""
    words = {270: MARK}
    names = ("raw", "tiff_lzw", "jpeg", "packbits", "tiff_adobe_deflate", "lzma", "zstd")
    bilevel = GREY.convert("1")
    return [
        *(_saved(RGB, "TIFF", compression=name, tiffinfo=words) for name in names),
        *(_saved(bilevel, "TIFF", compression=name) for name in ("group3", "group4", "tiff_ccitt")),
        _saved(RGB, "TIFF", big_tiff=True, tiffinfo=words),
        _saved(RGB.quantize(8), "TIFF"),
        _saved(RGB, "TIFF", save_all=True, append_images=[GREY]),
        tiff(noise(5, 7, 3, kind="uint16"), tile=16, deflate=True),
        tiff(noise(5, 7, 1, kind="float32"), order=">"),
        tiff(noise(5, 7, 4, kind="uint8"), planar=True),
        tiff(noise(5, 7, 1, kind="int16"), fill_order=2, orientation=6),
        *_real("pillow/16bit.deflate.tif", "pillow/g4_orientation_8.tif", "scikit-image/multipage.tif"),
        *_real("pillow/separate_planar_extra_samples.tiff", "pillow/tiff_wrong_bits_per_sample_2.tiff"),
    ]


def bmp_seeds() -> list[bytes]:
    """All depths, run lengths, bit fields, both directions and header versions."""
    names = (
        "g__pal4rle",
        "q__pal8rletrns",
        "g__pal8topdown",
        "q__pal8os2sp",
        "b__badfilesize",
        "g__pal8v5",
        "q__pal4rletrns",
    )
    made = [_saved(image, "BMP") for image in (RGB, RGBA, GREY, RGB.quantize(16), GREY.convert("1"))]
    return [*made, *_real(*(f"pillow/bmp__{name}.bmp" for name in names))]


def gif_seeds() -> list[bytes]:
    """Still and animated, interlaced, transparent, each way to dispose of a frame."""
    later = [RGB.rotate(90), RGB.rotate(180)]
    return [
        _saved(RGB, "GIF", comment=MARK.encode()),
        _saved(RGB, "GIF", save_all=True, append_images=later, disposal=2),
        _saved(RGBA, "GIF", save_all=True, append_images=later, disposal=3, interlace=True, comment=MARK.encode()),
        *(_real(*(f"pillow/{name}.gif" for name in ("dispose_prev", "missing_background", "test_extents")))),
        *_real("pillow/no_palette_after_rgb.gif", "pillow/second_frame_comment.gif"),
    ]


def webp_seeds() -> list[bytes]:
    """Lossy, lossless, with alpha, animated."""
    return [
        _saved(RGB, "WEBP", exif=_exif()),
        _saved(RGB, "WEBP", lossless=True),
        _saved(RGBA, "WEBP", xmp=MARK.encode()),
        _saved(RGBA, "WEBP", save_all=True, append_images=[RGB.rotate(90)], exif=_exif()),
        *_real("pillow/anim_frame2.webp", "pillow/hopper_orientation_8.webp"),
    ]


def pnm_seeds() -> list[bytes]:
    """P1 to P6 and floats, in words and in bytes, one and two bytes deep."""
    words = f"# {MARK}\n".encode()
    plain = [
        b"P1\n" + words + b"4 3\n1 0 1 0\n0 0 0 1\n1 1 1 1\n",
        b"P2\n4 3\n" + words + b"200\n" + b" ".join(b"%d" % n for n in range(12)),
        b"P3 2 2 65535\n" + words + b" ".join(b"%d" % (n * 5000) for n in range(12)),
        b"Pf\n5 4\n-1.0\n" + noise(4, 5, kind="float32").astype("<f4").tobytes(),
        b"P6\n" + words + b"5 4 65535\n" + noise(4, 5, 3, kind="uint16").astype(">u2").tobytes(),
        b"P5\n5 4 1000\n" + noise(4, 5, kind="uint16", top=1000).astype(">u2").tobytes(),
    ]
    return [*plain, *(_saved(image, "PPM") for image in (RGB, GREY, GREY.convert("1")))]


def jpeg_2000_seeds() -> list[bytes]:
    """Files and bare codestreams, 8 and 16 bits, tiles, several resolutions and layers."""
    return [
        _saved(RGB, "JPEG2000", comment=MARK),
        _saved(RGBA, "JPEG2000", no_jp2=True),
        _saved(GREY, "JPEG2000", tile_size=(8, 8), irreversible=True, quality_layers=[20, 5]),
        _saved(Image.fromarray(noise(13, 17, kind="uint16")), "JPEG2000", comment=MARK),
        *_real("pillow/issue_6194.j2k"),
    ]


def avif_seeds() -> list[bytes]:
    """With and without alpha, grey, animated, Exif."""
    fast = {"speed": 10, "max_threads": 1}
    return [
        _saved(RGB, "AVIF", exif=_exif(), **fast),
        _saved(RGBA, "AVIF", xmp=MARK.encode(), **fast),
        _saved(GREY, "AVIF", subsampling="4:0:0", **fast),
        _without_times(_saved(RGB, "AVIF", save_all=True, append_images=[RGB.rotate(180)], **fast)),
    ]


def _without_times(data: bytes) -> bytes:
    """An animation's boxes say when it was made: now."""
    for name in (b"mvhd", b"tkhd", b"mdhd"):
        start = data.index(name) + 8  # behind version and flags
        n_bytes = 16 if data[start - 4] == 1 else 8
        data = data[:start] + bytes(n_bytes) + data[start + n_bytes :]
    return data


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
        *_real("pydicom/dicomdirtests__98892003__MR1__15820", "pydicom/SC_rgb_small_odd.dcm"),
        *_real("pydicom/ExplVR_LitEndNoMeta.dcm", "pydicom/ExplVR_BigEndNoMeta.dcm", "pydicom/nested_priv_SQ.dcm"),
        *_real("pydicom/SC_rgb_small_odd_big_endian.dcm", "pydicom/reportsi.dcm", "pydicom/rtplan.dcm"),
        *_real("pydicom/meta_missing_tsyntax.dcm", "pydicom/rtdose_1frame.dcm"),
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
    jpegs = [_saved(Image.fromarray(frame), "JPEG") for frame in noise(2, 16, 16)]
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
        *_real("pydicom/SC_rgb_rle_2frame.dcm"),
    ]  # fmt: skip


def dicom_rle_seeds() -> list[bytes]:
    """8, 16 and, in a real file, 32 bits, grey and colour."""
    return [
        _compressed(noise(6, 8), RLELossless),
        _compressed(noise(6, 8, kind="int16"), RLELossless),
        _compressed(noise(6, 8, 3), RLELossless, SamplesPerPixel=3),
        _compressed(noise(6, 8, 3, kind="uint16"), RLELossless, SamplesPerPixel=3),
        *_real("pydicom/rtdose_rle_1frame.dcm", "pydicom/SC_rgb_rle.dcm"),
    ]


def dicom_jpeg_seeds() -> list[bytes]:
    """Baseline: grey, colour as YBR and as RGB, subsampled; extended to 12 bits in a real file."""
    grey, colour = _saved(GREY, "JPEG"), _saved(RGB, "JPEG")
    shape = {"SamplesPerPixel": 3}
    return [
        _encapsulated([grey], JPEGBaseline8Bit, noise(13, 17)),
        _encapsulated([colour], JPEGBaseline8Bit, noise(13, 17, 3), PhotometricInterpretation="YBR_FULL_422", **shape),
        _encapsulated([colour], JPEGBaseline8Bit, noise(13, 17, 3), PhotometricInterpretation="RGB", **shape),
        *_real("pydicom/SC_rgb_small_odd_jpeg.dcm", "pydicom/SC_rgb_dcmtk_+eb+cr.dcm", "pydicom/SC_rgb_jpeg_dcmtk.dcm"),
    ]


def dicom_jpeg_lossless_seeds() -> list[bytes]:
    """Process 14: 8 and 16 bits grey, and colour in a real file."""
    grey, deep = noise(13, 17), noise(13, 17, kind="uint16")
    files = [_encapsulated([jpeg_lossless(pixels)], JPEGLosslessSV1, pixels) for pixels in (grey, deep)]
    return [*files, *_real("pydicom/SC_rgb_jpeg_gdcm.dcm")]


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
        *_real("pydicom/JPEGLSNearLossless_08.dcm", "pydicom/JPEGLSNearLossless_16.dcm"),
        *_real("pydicom/SC_rgb_jls_lossy_line.dcm", "pydicom/SC_rgb_jls_lossy_sample.dcm"),
    ]


def dicom_jpeg_2000_seeds() -> list[bytes]:
    """Lossless and lossy, grey and colour, 8 and 16 bits."""
    colour, shape = _saved(RGB, "JPEG2000", no_jp2=True, mct=1), {"SamplesPerPixel": 3}
    shape["PhotometricInterpretation"] = "YBR_RCT"
    return [
        _compressed(noise(40, 33, top=15), JPEG2000Lossless),
        _compressed(noise(40, 33, kind="int16", top=15), JPEG2000Lossless),
        _encapsulated([colour], JPEG2000Lossless, noise(13, 17, 3), **shape),
        _encapsulated([_saved(GREY, "JPEG2000")], JPEG2000, noise(13, 17)),
        *_real("pydicom/SC_rgb_gdcm_KY.dcm"),
    ]  # fmt: skip


def dicom_deflated_seeds() -> list[bytes]:
    """Grey and colour."""
    grey = _dicom(noise(6, 8, kind="int16"), DeflatedExplicitVRLittleEndian, WindowCenter=40, WindowWidth=400)
    return [grey, _dicom(noise(6, 8, 3), DeflatedExplicitVRLittleEndian, SamplesPerPixel=3)]


def nifti_seeds() -> list[bytes]:
    """Versions 1 and 2, both byte orders, every type, three and four dimensions, scaled, with an extension."""
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    made = []
    for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        for dtype, shape in (
            ("int16", (4, 5, 3)),
            ("uint8", (4, 5, 3, 2)),
            ("float32", (4, 5, 1)),
            ("float64", (4, 3, 2)),
        ):
            image = kind(noise(*shape, kind=dtype), affine)
            image.header["descrip"] = MARK.encode()
            image.header["aux_file"] = MARK.encode()
            image.header["cal_max"] = 100 if dtype == "int16" else 0
            image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", MARK.encode()))
            made.append(image.to_bytes())
    big = nibabel.Nifti1Image(noise(4, 5, 3, kind="int16").astype(">i2"), affine, nibabel.Nifti1Header(endianness=">"))
    scaled = nibabel.Nifti1Image(noise(4, 5, 3, kind="int16"), affine)
    scaled.header.set_slope_inter(0.5, -10)
    return [*made, big.to_bytes(), scaled.to_bytes()]


def slide_seeds() -> list[bytes]:
    """Pyramids as pages and as SubIFDs, classic and Big, in colour and grey, and as Aperio lays them out."""
    pixels = stained(96, 80, (10, 10, 60, 50))
    levels = [pixels, halved(pixels), halved(halved(pixels))]
    grey = [np.ascontiguousarray(level[..., 1]) for level in levels]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide"
        return [
            write_slide(path, levels, tile=16, description=MARK).read_bytes(),
            write_slide(path, levels, tile=32, bigtiff=False, compression=None).read_bytes(),
            write_slide(path, levels, tile=16, bigtiff=False, sub=True, byteorder=">").read_bytes(),
            write_slide(path, grey, tile=16, bigtiff=False, photometric="minisblack").read_bytes(),
            write_slide(path, levels, tile=32, bigtiff=False, compression="jpeg", aperio_mpp=0.5).read_bytes(),
        ]


def metaimage_seeds() -> list[bytes]:
    """Raw and zlib voxels behind their header, and a header that names a file."""
    files = (FILES.parent / "volumes" / name for name in ("oblique.mha", "oblique_zlib.mha", "oblique.mhd"))
    return [path.read_bytes().replace(b"NDims", f"Comment = {MARK}\nNDims".encode(), 1) for path in files]


def nrrd_seeds() -> list[bytes]:
    """Raw and gzipped voxels behind their header, and a header that names a file."""
    files = (FILES.parent / "volumes" / name for name in ("oblique.nrrd", "oblique_gzip.nrrd", "oblique.nhdr"))
    return [path.read_bytes().replace(b"type:", f"patient:={MARK}\ntype:".encode(), 1) for path in files]


def gzip_seeds() -> list[bytes]:
    """Volumes, a picture and a DICOM file, gzipped; one in two members."""
    volumes = [gzip.compress(data, mtime=0) for data in nifti_seeds()[:4]]
    first = nifti_seeds()[0]
    halves = gzip.compress(first[:300], mtime=0) + gzip.compress(first[300:], mtime=0)
    return [*volumes, halves, gzip.compress(png_seeds()[0], mtime=0), gzip.compress(dicom_native_seeds()[0], mtime=0)]


def zip_seeds() -> list[bytes]:
    """Stored and deflated members, folders, names with accents, an archive inside, a bomb's beginnings."""
    inner = _zipped({"a.png": png_seeds()[1]}, zipfile.ZIP_STORED)
    members = {
        "study/a.png": png_seeds()[0],
        "study/é.dcm": dicom_native_seeds()[0],
        "b.nii.gz": gzip_seeds()[0],
        "inner.zip": inner,
        "notes.txt": MARK.encode(),
        "empty.dcm": b"",
    }
    small = {"a.dcm": dicom_rle_seeds()[0], "b.jpg": jpeg_seeds()[3]}
    kinds = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2)
    return [_zipped(members, zipfile.ZIP_DEFLATED), *(_zipped(small, kind) for kind in kinds)]


def _zipped(members: dict[str, bytes], compression: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=compression)
    return buffer.getvalue()
