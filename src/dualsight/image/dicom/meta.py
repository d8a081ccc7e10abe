"""What a DICOM header says about its picture, and a prompt's words from it. No attribute here names a patient."""

from __future__ import annotations

import re
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID

from dualsight.image.frame import FrameMeta

# PS3.3 C.7.3.1.1.1's defined terms → the words that captions use.
_MODALITIES = {
    "BMUS": "ultrasound",
    "CR": "x-ray",
    "CT": "ct",
    "DX": "x-ray",
    "ES": "endoscopy",
    "GM": "microscopy",
    "IO": "x-ray",
    "IVUS": "intravascular ultrasound",
    "MG": "mammography",
    "MR": "mri",
    "NM": "nuclear medicine",
    "OCT": "optical coherence tomography",
    "OP": "fundus photography",
    "OPT": "optical coherence tomography",
    "PT": "pet",
    "PX": "x-ray",
    "RF": "fluoroscopy",
    "RG": "x-ray",
    "SM": "pathology",
    "US": "ultrasound",
    "XA": "angiography",
    "XC": "photograph",
}

# PS3.3 C.8.1.1 and C.8.11.7: View Position's defined terms.
_VIEWS = {
    "AP": "anteroposterior",
    "PA": "posteroanterior",
    "LL": "left lateral",
    "RL": "right lateral",
    "LLD": "left lateral decubitus",
    "RLD": "right lateral decubitus",
    "LLO": "left lateral oblique",
    "RLO": "right lateral oblique",
    "LAT": "lateral",
    "CC": "craniocaudal",
    "MLO": "mediolateral oblique",
    "ML": "mediolateral",
    "LM": "lateromedial",
    "XCCL": "exaggerated craniocaudal",
}

# PS3.16 annex L: body parts that the attribute writes as one word.
_BODY_PARTS = {
    "ABDOMENPELVIS": "abdomen and pelvis",
    "CHESTABDOMEN": "chest and abdomen",
    "CHESTABDPELVIS": "chest, abdomen and pelvis",
    "CSPINE": "cervical spine",
    "HEADNECK": "head and neck",
    "LSPINE": "lumbar spine",
    "TSPINE": "thoracic spine",
    "UEXTREMITY": "arm",
    "LEXTREMITY": "leg",
}


def describe(dataset: Dataset, frame_index: int = 0) -> FrameMeta:
    """What the header says about one frame, patient's attributes left out."""
    spacing = _first(dataset, frame_index, "PixelMeasuresSequence", "PixelSpacing")
    spacing = spacing or dataset.get("ImagerPixelSpacing") or dataset.get("NominalScannedPixelSpacing")
    return FrameMeta(
        format="DICOM",
        modality=_text(dataset.get("Modality")),
        body_part=_text(dataset.get("BodyPartExamined") or _anatomy(dataset, frame_index)),
        view=_text(dataset.get("ViewPosition")),
        rows=_number(dataset.get("Rows")),
        columns=_number(dataset.get("Columns")),
        bits=_number(dataset.get("BitsStored")),
        spacing_mm=_pair(spacing),
        study_instance_uid=_uid(dataset.get("StudyInstanceUID")),
        series_instance_uid=_uid(dataset.get("SeriesInstanceUID")),
        sop_instance_uid=_uid(dataset.get("SOPInstanceUID")),
        sop_class_uid=_uid(dataset.get("SOPClassUID")),
    )


def prompt_words(meta: FrameMeta) -> str:
    """ "modality anatomy view" in a caption's words, as in "x-ray chest anteroposterior"; "" if nothing is known.

    Modalities that are no way to take a picture (SEG, OT, RTDOSE) have no word.
    """
    modality = _MODALITIES.get(meta.modality or "", "")
    body_part = _BODY_PARTS.get((meta.body_part or "").replace(" ", ""), (meta.body_part or "").lower())
    view = _VIEWS.get(meta.view or "", (meta.view or "").lower())
    return " ".join(word for word in (modality, body_part, view) if word)


def functional_group(dataset: Dataset, frame_index: int, keyword: str) -> Dataset | None:
    """The item of a functional group for one frame: the frame's own, else the shared one (PS3.3 C.7.6.16)."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    own = per_frame[frame_index : frame_index + 1]
    for group in (*own, *shared[:1]):
        items = group.get(keyword)
        if items:
            return items[0]
    return None


def sop_class_name(dataset: Dataset) -> str:
    """The SOP class in the standard's words, or its UID if it is private; from the meta header if need be."""
    uid = dataset.get("SOPClassUID") or getattr(dataset, "file_meta", {}).get("MediaStorageSOPClassUID")
    return uid_name(uid) or "an unknown SOP class"


def uid_name(value: object) -> str:
    """What the standard calls a UID, or the UID itself if it is private; "" for what is none, and might be a name."""
    return UID(_uid(value) or "").name


def _first(dataset: Dataset, frame_index: int, group: str, keyword: str) -> Any:
    item = functional_group(dataset, frame_index, group)
    value = item.get(keyword) if item is not None else None
    return value or dataset.get(keyword)


def _anatomy(dataset: Dataset, frame_index: int) -> Any:
    item = functional_group(dataset, frame_index, "FrameAnatomySequence") or dataset
    regions = item.get("AnatomicRegionSequence")
    return regions[0].get("CodeMeaning") if regions else None


def _text(value: object) -> str | None:
    """A short code or meaning, upper case; anything that looks like more than one is dropped."""
    text = str(value or "").strip().upper()
    return text if re.fullmatch(r"[A-Z0-9][A-Z0-9 ,/_+-]{0,63}", text) else None


def _uid(value: object) -> str | None:
    """A UID that is one (PS3.5 section 9): anything else might be a name."""
    text = str(value or "").rstrip("\0 ")
    return text if re.fullmatch(r"[0-9.]{1,64}", text) else None


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, int) else None


def _pair(value: Any) -> tuple[float, float] | None:
    numbers = [float(v) for v in value] if value is not None and not isinstance(value, str | float) else []
    return (numbers[0], numbers[1]) if len(numbers) == 2 and all(0 < n < 1e6 for n in numbers) else None
