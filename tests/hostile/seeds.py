"""The sound files that are damaged: small real ones, and made ones for layouts that those lack.

Each made file holds MARK wherever its format has room for words, as patients' names stand in such places.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from picture_files import png, png_chunk, saved, tiff
from slide_files import halved, stained, write_slide

FILES = Path(__file__).parents[1] / "data" / "images"
MARK = "Qzx^Vjkwph"


def real(*names: str) -> list[bytes]:
    """Files of tests/data/images."""
    return [(FILES / name).read_bytes() for name in names]


def noise(*shape: int, kind: str = "uint8", top: int | None = None) -> NDArray[Any]:
    """Always the same values of that shape."""
    generator = np.random.default_rng(len(shape) * 100 + shape[0])
    if kind.startswith("f"):
        return generator.normal(size=shape).astype(kind)
    return generator.integers(0, top or np.iinfo(kind).max, shape, dtype=kind, endpoint=True)


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
        saved(RGB, "PNG", pnginfo=words, exif=_exif()),
        saved(RGBA, "PNG"),
        saved(GREY.convert("1"), "PNG"),
        saved(RGB.quantize(16), "PNG", transparency=3),
        saved(RGB, "PNG", save_all=True, append_images=[RGB.rotate(180), RGB.rotate(90)]),
        *(png(noise(5, 7, channels, kind="uint16"), extra=text) for channels in (1, 2, 3, 4)),
        *real("scikit-image/palette_gray.png", "pillow/apng__dispose_op_previous_region.png", "pillow/p_16.png"),
        *real("pillow/xmp_tags_orientation_exiftool.png", "pillow/apng__mode_16bit.png", "pillow/p_trns_single.png"),
    ]


def jpeg_seeds() -> list[bytes]:
    """Baseline, progressive, grey, CMYK, subsampled, restart markers, Exif, MPO."""
    words = {"comment": MARK, "exif": _exif()}
    return [
        saved(RGB, "JPEG", **words),
        saved(RGB, "JPEG", progressive=True, **words),
        saved(RGB, "JPEG", subsampling="4:2:0", restart_marker_blocks=1, **words),
        saved(GREY, "JPEG", **words),
        saved(RGB.convert("CMYK"), "JPEG", **words),
        saved(RGB, "MPO", save_all=True, append_images=[RGB.rotate(180)]),
        *real("pillow/hopper_16bit_qtables.jpg", "pillow/orientation_rectangle.jpg", "pillow/multiple_exif.jpg"),
    ]


def tiff_seeds() -> list[bytes]:
    """Strips and tiles, both byte orders, every compression, deep and shallow, several pages, BigTIFF."""
    words = {270: MARK}
    names = ("raw", "tiff_lzw", "jpeg", "packbits", "tiff_adobe_deflate", "lzma", "zstd")
    bilevel = GREY.convert("1")
    return [
        *(saved(RGB, "TIFF", compression=name, tiffinfo=words) for name in names),
        *(saved(bilevel, "TIFF", compression=name) for name in ("group3", "group4", "tiff_ccitt")),
        saved(RGB, "TIFF", big_tiff=True, tiffinfo=words),
        saved(RGB.quantize(8), "TIFF"),
        saved(RGB, "TIFF", save_all=True, append_images=[GREY]),
        tiff(noise(5, 7, 3, kind="uint16"), tile=16, deflate=True),
        tiff(noise(5, 7, 1, kind="float32"), order=">"),
        tiff(noise(5, 7, 4, kind="uint8"), planar=True),
        tiff(noise(5, 7, 1, kind="int16"), fill_order=2, orientation=6),
        *real("pillow/16bit.deflate.tif", "pillow/g4_orientation_8.tif", "scikit-image/multipage.tif"),
        *real("pillow/separate_planar_extra_samples.tiff", "pillow/tiff_wrong_bits_per_sample_2.tiff"),
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
    made = [saved(image, "BMP") for image in (RGB, RGBA, GREY, RGB.quantize(16), GREY.convert("1"))]
    return [*made, *real(*(f"pillow/bmp__{name}.bmp" for name in names))]


def gif_seeds() -> list[bytes]:
    """Still and animated, interlaced, transparent, each way to dispose of a frame."""
    later = [RGB.rotate(90), RGB.rotate(180)]
    return [
        saved(RGB, "GIF", comment=MARK.encode()),
        saved(RGB, "GIF", save_all=True, append_images=later, disposal=2),
        saved(RGBA, "GIF", save_all=True, append_images=later, disposal=3, interlace=True, comment=MARK.encode()),
        *(real(*(f"pillow/{name}.gif" for name in ("dispose_prev", "missing_background", "test_extents")))),
        *real("pillow/no_palette_after_rgb.gif", "pillow/second_frame_comment.gif"),
    ]


def webp_seeds() -> list[bytes]:
    """Lossy, lossless, with alpha, animated."""
    return [
        saved(RGB, "WEBP", exif=_exif()),
        saved(RGB, "WEBP", lossless=True),
        saved(RGBA, "WEBP", xmp=MARK.encode()),
        saved(RGBA, "WEBP", save_all=True, append_images=[RGB.rotate(90)], exif=_exif()),
        *real("pillow/anim_frame2.webp", "pillow/hopper_orientation_8.webp"),
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
    return [*plain, *(saved(image, "PPM") for image in (RGB, GREY, GREY.convert("1")))]


def jpeg_2000_seeds() -> list[bytes]:
    """Files and bare codestreams, 8 and 16 bits, tiles, several resolutions and layers."""
    return [
        saved(RGB, "JPEG2000", comment=MARK),
        saved(RGBA, "JPEG2000", no_jp2=True),
        saved(GREY, "JPEG2000", tile_size=(8, 8), irreversible=True, quality_layers=[20, 5]),
        saved(Image.fromarray(noise(13, 17, kind="uint16")), "JPEG2000", comment=MARK),
        *real("pillow/issue_6194.j2k"),
    ]


def avif_seeds() -> list[bytes]:
    """With and without alpha, grey, animated, Exif."""
    fast = {"speed": 10, "max_threads": 1}
    return [
        saved(RGB, "AVIF", exif=_exif(), **fast),
        saved(RGBA, "AVIF", xmp=MARK.encode(), **fast),
        saved(GREY, "AVIF", subsampling="4:0:0", **fast),
        _without_times(saved(RGB, "AVIF", save_all=True, append_images=[RGB.rotate(180)], **fast)),
    ]


def _without_times(data: bytes) -> bytes:
    """An animation's boxes say when it was made: now."""
    for name in (b"mvhd", b"tkhd", b"mdhd"):
        start = data.index(name) + 8  # behind version and flags
        n_bytes = 16 if data[start - 4] == 1 else 8
        data = data[:start] + bytes(n_bytes) + data[start + n_bytes :]
    return data


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
