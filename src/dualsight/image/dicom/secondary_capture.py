"""A picture made from a DICOM object → a Secondary Capture of the same patient and study (PS3.3 A.8.1).

header of the original ──patient, study──▶ new series, one instance ◀──pixels── RGB [H, W, 3]
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from dualsight import __version__
from dualsight.errors import UnsupportedImage
from dualsight.image.deidentify import hashed_uid, public_uid
from dualsight.image.dicom.meta import describe

# PS3.3 C.7.1.1 and C.7.2.1, type 1 and 2: written even where empty. Others of these modules are copied if present.
_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_STUDY = ("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName")
_IF_PRESENT = ("IssuerOfPatientID", "StudyDescription", "PatientAge")
_LO, _ST = 64, 1024  # characters that a Long String and a Short Text hold (PS3.5 6.2)


def secondary_capture(
    rgb: NDArray[np.uint8], original: Dataset, *, series: str, derivation: str, now: datetime, key: bytes | None = None
) -> FileDataset:
    """A data set ready for `save_as`, of uint8 [H, W, 3], beside `original` in its study.

    series, derivation: what the new series is called, and how the picture was made, in words without a patient.
    key: with one, nothing of the patient and study is in it but hashed UIDs, those of `--deidentify` (PS3.15 annex E);
    the pixels stay as they are. Raises UnsupportedImage for an original without a study.
    """
    study = str(original.get("StudyInstanceUID", ""))
    instance = str(original.get("SOPInstanceUID", ""))
    if not study or not instance:
        raise UnsupportedImage("no study to belong to: its header lacks a UID", hint="write a .png instead")
    made = FileDataset("", {}, file_meta=_meta_header(), preamble=b"\0" * 128)
    made.SOPClassUID = SecondaryCaptureImageStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID
    made.StudyInstanceUID = study if key is None else hashed_uid(study, key)
    made.SeriesInstanceUID = generate_uid(prefix=None)
    _add_people(made, original, is_hidden=key is not None)
    made.Modality = "OT"
    made.SeriesDescription, made.SeriesNumber, made.InstanceNumber = series[:_LO], None, "1"
    made.Manufacturer, made.SoftwareVersions = "dualsight", __version__
    made.ConversionType = "WSD"  # by a workstation (PS3.3 C.8.6.1)
    made.DateOfSecondaryCapture, made.TimeOfSecondaryCapture = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.DerivationDescription = derivation[:_ST]
    made.PatientOrientation = None
    burned_in = original.get("BurnedInAnnotation")  # whether the pixels identify the patient: what we add does not
    if burned_in in ("YES", "NO") or (burned_in is not None and key is None):  # else anybody's words (C.7.6.1)
        made.BurnedInAnnotation = burned_in
    made.SourceImageSequence = Sequence([_reference(original, instance, key)])
    _add_pixels(made, rgb)
    return made


def _meta_header() -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(prefix=None)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta


def _add_people(made: Dataset, original: Dataset, *, is_hidden: bool) -> None:
    """Patient and study as the original has them; empty if hidden, and PS3.15's flag for it."""
    made.SpecificCharacterSet = "ISO_IR 192"  # UTF-8
    if is_hidden:
        made.PatientIdentityRemoved = "YES"
        made.DeidentificationMethod = f"dualsight {__version__}: nothing copied but UIDs, as hashes"
    for keyword in (*_PATIENT, *_STUDY):
        setattr(made, keyword, None if is_hidden else original.get(keyword))
    if not is_hidden:
        for keyword in _IF_PRESENT:
            if keyword in original:
                setattr(made, keyword, original.get(keyword))


def _reference(original: Dataset, instance: str, key: bytes | None) -> Dataset:
    item = Dataset()
    sop_class = describe(original).sop_class_uid  # None for what is no UID, and might be a name
    item.ReferencedSOPClassUID = sop_class if key is None else public_uid(sop_class, key)
    item.ReferencedSOPInstanceUID = instance if key is None else hashed_uid(instance, key)
    return item


def _add_pixels(made: Dataset, rgb: NDArray[np.uint8]) -> None:
    made.Rows, made.Columns = rgb.shape[:2]
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "RGB", 0
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    data = np.ascontiguousarray(rgb).tobytes()
    made.PixelData = data + b"\0" * (len(data) % 2)
