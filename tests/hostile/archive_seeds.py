"""The sound archives that are damaged: gzip and zip files of the other seeds."""

from __future__ import annotations

import gzip
import io
import zipfile

from hostile.dicom_seeds import dicom_native_seeds, dicom_rle_seeds
from hostile.seeds import MARK, jpeg_seeds, nifti_seeds, png_seeds


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
