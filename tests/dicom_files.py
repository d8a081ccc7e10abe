"""DICOM files made for a test, with pydicom: small, and each attribute as the test wants it."""

from __future__ import annotations

import io
from typing import Any

from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

PATIENT = "Doe^Jane"  # looked for in every error text


def dicom_bytes(
    pixels: NDArray[Any] | None,
    *,
    syntax: str = ExplicitVRLittleEndian,
    without: tuple[str, ...] = (),
    **attributes: Any,
) -> bytes:
    """A DICOM file of `pixels` [H, W], [F, H, W] or, with SamplesPerPixel=3, [(F,) H, W, 3].

    attributes: DICOM keywords; they win over what is derived from `pixels`. without: keywords to leave out.
    """
    dataset = dicom_dataset(pixels, **attributes)
    for keyword in without:
        if keyword in dataset:
            del dataset[keyword]
    return to_bytes(dataset, syntax)


def dicom_dataset(pixels: NDArray[Any] | None, **attributes: Any) -> Dataset:
    """The data set of `dicom_bytes`, before it is written."""
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["dualsight test"])
    dataset.PatientName = PATIENT
    dataset.PatientID = "MRN-4711"
    dataset.Modality = "CT"
    if pixels is not None:
        _add_pixels(dataset, pixels, int(attributes.get("SamplesPerPixel", 1)))
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def _add_pixels(dataset: Dataset, pixels: NDArray[Any], samples: int) -> None:
    shape = pixels.shape[:-1] if samples == 3 else pixels.shape
    dataset.Rows, dataset.Columns = shape[-2:]
    if len(shape) == 3:
        dataset.NumberOfFrames = shape[0]
    dataset.SamplesPerPixel = samples
    dataset.PhotometricInterpretation = "RGB" if samples == 3 else "MONOCHROME2"
    if samples == 3:
        dataset.PlanarConfiguration = 0
    data = pixels.tobytes()
    data += b"\0" * (len(data) % 2)
    if pixels.dtype.kind == "f":
        dataset.BitsAllocated = 8 * pixels.itemsize
        setattr(dataset, "FloatPixelData" if pixels.itemsize == 4 else "DoubleFloatPixelData", data)
        return
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = data
    dataset["PixelData"].VR = "OW" if pixels.itemsize > 1 else "OB"


def to_bytes(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """`dataset` as a DICOM file."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta = meta
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def item(**attributes: Any) -> Dataset:
    """A sequence item."""
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def items(*made: Dataset) -> Sequence:
    """A sequence."""
    return Sequence(made)
