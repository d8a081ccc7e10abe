from __future__ import annotations

import io
from datetime import datetime

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

import dualsight
from dicom_files import PATIENT, dicom_dataset
from dualsight.errors import UnsupportedImage
from dualsight.image.deidentify import hashed_uid
from dualsight.image.dicom.secondary_capture import secondary_capture

KEY = b"sixteen bytes and more"
NOW = datetime(2026, 1, 2, 3, 4, 5)


@pytest.fixture
def original() -> Dataset:
    return dicom_dataset(
        np.zeros((4, 4), np.uint8),
        StudyInstanceUID="1.2.3",
        StudyDate="20250607",
        AccessionNumber="ACC-9",
        InstitutionName="Somewhere",
        StudyDescription="Thorax",
        SpecificCharacterSet="ISO_IR 100",
        PatientName="Müller^Jörg",
    )


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


def written(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def test_same_patient_and_study_in_a_series_of_its_own(original: Dataset, rgb: np.ndarray) -> None:
    made = secondary_capture(rgb, original, series="heat map", derivation="by a test", now=NOW)
    again = pydicom.dcmread(io.BytesIO(written(made)))
    assert again.SOPClassUID.name == "Secondary Capture Image Storage"
    assert (again.StudyInstanceUID, again.StudyDate, again.AccessionNumber) == ("1.2.3", "20250607", "ACC-9")
    assert again.PatientName == "Müller^Jörg" and again.PatientID == "MRN-4711" and again.StudyDescription == "Thorax"
    assert again.SeriesInstanceUID and again.SOPInstanceUID != original.SOPInstanceUID
    assert again.SourceImageSequence[0].ReferencedSOPInstanceUID == original.SOPInstanceUID
    assert (again.SeriesDescription, again.DerivationDescription) == ("heat map", "by a test")
    assert (again.DateOfSecondaryCapture, again.TimeOfSecondaryCapture) == ("20260102", "030405")


def test_pixels_come_back(original: Dataset, rgb: np.ndarray) -> None:
    made = secondary_capture(rgb, original, series="heat map", derivation="", now=NOW)
    (frame,) = dualsight.image.open(written(made))
    assert np.array_equal(frame.pixels, rgb)


def test_nothing_of_the_patient_where_hidden(original: Dataset, rgb: np.ndarray) -> None:
    data = written(secondary_capture(rgb, original, series="heat map", derivation="", now=NOW, key=KEY))
    again = pydicom.dcmread(io.BytesIO(data))
    assert again.StudyInstanceUID == hashed_uid("1.2.3", KEY)
    source = again.SourceImageSequence[0]
    assert source.ReferencedSOPInstanceUID == hashed_uid(original.SOPInstanceUID, KEY)
    assert again.PatientIdentityRemoved == "YES" and not again.PatientName and not again.StudyDate
    for text in ("ller", PATIENT, "4711", "ACC-9", "20250607", "Thorax", "Somewhere"):
        assert text.encode() not in data


def test_long_words_fit(original: Dataset, rgb: np.ndarray) -> None:
    made = secondary_capture(rgb, original, series="s" * 99, derivation="d" * 2000, now=NOW)
    again = pydicom.dcmread(io.BytesIO(written(made)))
    assert len(again.SeriesDescription) == 64 and len(again.DerivationDescription) == 1024


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SOPInstanceUID"])
def test_an_original_without_a_study(original: Dataset, rgb: np.ndarray, keyword: str) -> None:
    delattr(original, keyword)
    with pytest.raises(UnsupportedImage, match="no study"):
        secondary_capture(rgb, original, series="", derivation="", now=NOW)


def test_anybodys_words_and_private_classes_do_not_go_along_where_hidden(original: Dataset, rgb: np.ndarray) -> None:
    original.BurnedInAnnotation, original.SOPClassUID = "DOE JANE", "1.2.3.4.5"
    again = pydicom.dcmread(io.BytesIO(written(secondary_capture(rgb, original, series="", derivation="", now=NOW))))
    assert again.BurnedInAnnotation == "DOE JANE"
    assert again.SourceImageSequence[0].ReferencedSOPClassUID == "1.2.3.4.5"
    data = written(secondary_capture(rgb, original, series="", derivation="", now=NOW, key=KEY))
    again = pydicom.dcmread(io.BytesIO(data))
    assert "BurnedInAnnotation" not in again and b"1.2.3.4.5" not in data
    assert again.SourceImageSequence[0].ReferencedSOPClassUID == hashed_uid("1.2.3.4.5", KEY)
    original.BurnedInAnnotation, original.SOPClassUID = "YES", CTImageStorage
    again = secondary_capture(rgb, original, series="", derivation="", now=NOW, key=KEY)
    assert again.BurnedInAnnotation == "YES"
    assert again.SourceImageSequence[0].ReferencedSOPClassUID == CTImageStorage


def test_an_empty_key_hides_all_the_same(original: Dataset, rgb: np.ndarray) -> None:
    made = secondary_capture(rgb, original, series="", derivation="", now=NOW, key=b"")
    assert made.StudyInstanceUID == hashed_uid("1.2.3", b"")
    assert made.SourceImageSequence[0].ReferencedSOPInstanceUID == hashed_uid(original.SOPInstanceUID, b"")
