"""What is said of a phantom: captions as different people would put them.

    "x-ray chest anteroposterior pleural effusion"      the whole prompt, as MedImageInsight's are
    "radiograph chest small left pleural fluid"         other words, size and side
    "ct abdomen axial renal cyst, no ascites"           and what is not there

All of it is true; most captions leave something out. A side or a size is said of some of the pictures that have one, so
that a prompt without either goes on meaning both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dualsight.learn.phantom.catalogue import Phantom

SYNONYMS: dict[str, tuple[str, ...]] = {
    # modalities
    "x-ray": ("radiograph", "xr"),
    "ct": ("computed tomography", "ct scan"),
    "mri": ("mr", "magnetic resonance imaging"),
    "mammography": ("mammogram",),
    "ultrasound": ("sonography", "us"),
    "oct": ("optical coherence tomography",),
    "fundus": ("retinal fundus", "fundus photograph"),
    "dermoscopy": ("dermatoscopy",),
    "histopathology": ("histology",),
    "endoscopy": ("colonoscopy",),
    # no finding
    "no finding": ("normal", "no abnormality", "unremarkable"),
    # findings
    "pneumonia": ("consolidation", "pulmonary infiltrate"),
    "pleural effusion": ("pleural fluid",),
    "pneumothorax": ("pleural air",),
    "lung nodule": ("pulmonary nodule",),
    "atelectasis": ("plate-like collapse",),
    "cardiomegaly": ("enlarged heart", "cardiac enlargement"),
    "pulmonary edema": ("pulmonary oedema", "lung edema"),
    "support devices": ("lines and tubes",),
    "liver lesion": ("hepatic lesion",),
    "renal cyst": ("kidney cyst",),
    "kidney stone": ("renal calculus", "nephrolithiasis"),
    "hydronephrosis": ("dilated renal pelvis",),
    "ascites": ("abdominal fluid",),
    "abdominal aortic aneurysm": ("aortic aneurysm", "aaa"),
    "bowel obstruction": ("dilated bowel loops", "ileus"),
    "splenomegaly": ("enlarged spleen",),
    "brain tumor": ("brain tumour", "intracranial mass"),
    "acute infarct": ("acute stroke", "ischemic stroke"),
    "multiple sclerosis": ("demyelinating lesions",),
    "hydrocephalus": ("enlarged ventricles",),
    "intracranial hemorrhage": ("intracranial haemorrhage", "brain bleed"),
    "subdural hematoma": ("subdural haematoma",),
    "spiculated mass": ("spiculated lesion",),
    "circumscribed mass": ("well-defined mass",),
    "calcifications": ("microcalcifications",),
    "gallstones": ("cholelithiasis",),
    "liver mass": ("hepatic mass",),
    "macular edema": ("macular oedema", "intraretinal fluid"),
    "epiretinal membrane": ("macular pucker",),
    "pigment epithelial detachment": ("ped",),
    "papilledema": ("optic disc swelling", "papilloedema"),
    "laser scars": ("photocoagulation scars",),
    "melanocytic nevus": ("naevus", "mole"),
    "basal cell carcinoma": ("bcc",),
    "angioma": ("hemangioma",),
    "adenocarcinoma": ("carcinoma", "malignant glands"),
    "inflammation": ("inflammatory infiltrate",),
    "fat infiltration": ("adipose tissue",),
    "bleeding": ("hemorrhage",),
}
EXTENTS: dict[str, tuple[float, float]] = {
    "pneumonia": (3.1, 3.9),
    "pleural effusion": (2.2, 4.0),
    "pneumothorax": (4.7, 6.1),
    "lung nodule": (0.8, 1.3),
    "liver lesion": (1.0, 1.5),
    "renal cyst": (0.5, 0.8),
    "ascites": (7.8, 9.9),
    "abdominal aortic aneurysm": (2.1, 2.8),
    "brain tumor": (3.9, 5.5),
    "acute infarct": (1.9, 2.4),
    "intracranial hemorrhage": (1.8, 2.5),
    "subdural hematoma": (2.1, 2.7),
    "arachnoid cyst": (2.0, 2.8),
    "spiculated mass": (1.6, 2.2),
    "circumscribed mass": (1.0, 1.6),
    "simple cyst": (1.5, 2.1),
    "liver mass": (2.9, 4.1),
    "free fluid": (1.7, 2.2),
    "subretinal fluid": (2.1, 3.1),
    "macular hole": (1.3, 1.8),
    "pigment epithelial detachment": (3.3, 4.0),
    "melanocytic nevus": (16, 22),
    "melanoma": (17, 24),
    "basal cell carcinoma": (17, 24),
    "seborrheic keratosis": (17, 24),
    "angioma": (18, 25),
    "polyp": (4.2, 6.3),
    "ulcer": (4.8, 7.2),
}
"""Per cent of the picture below which a finding is small, and above which it is large: thirds of 150 phantoms."""

ABSENT = ("no {}", "without {}", "no evidence of {}")


def caption(phantom: Phantom, rng: np.random.Generator) -> str:
    """The whole prompt most often; or in other words, with more or less said."""
    modality, view = phantom.modality, phantom.view
    kind = worded(modality.name, rng)
    chance = rng.random()
    if chance < 0.08:
        return f"{kind} {modality.anatomy}"
    found = told(phantom, rng)
    if chance < 0.18:
        return found
    words = (kind, modality.anatomy, view if chance < 0.85 else "", found)
    return " ".join(word for word in words if word)


def told(phantom: Phantom, rng: np.random.Generator) -> str:
    """The finding, with its size and side at times, and at times what is not there."""
    modality, finding = phantom.modality, phantom.finding
    absent = denied([f for f in modality.findings if f != finding], rng)
    if finding is None:
        return absent if rng.random() < 0.3 else worded(modality.normal, rng)
    if rng.random() < 0.06:
        return absent
    said = worded(finding, rng)
    if phantom.side and rng.random() < 0.4:
        said = f"{said} on the {phantom.side}" if rng.random() < 0.2 else f"{phantom.side} {said}"
    if (extent := size(phantom)) and rng.random() < 0.3:
        said = f"{extent} {said}"
    return f"{said}, {absent}" if rng.random() < 0.06 else said


def worded(term: str, rng: np.random.Generator) -> str:
    """The term itself, or one time in four another word for it."""
    others = SYNONYMS.get(term)
    return str(rng.choice(others)) if others and rng.random() < 0.25 else term


def denied(absent: Sequence[str], rng: np.random.Generator) -> str:
    """One of the findings that are not there, denied."""
    form = ABSENT[0] if rng.random() < 0.6 else str(rng.choice(ABSENT))
    return form.format(rng.choice(absent))


def size(phantom: Phantom) -> str | None:
    """Whether the finding is "small" or "large" on its picture; None in between, or where nobody says so."""
    small, large = EXTENTS.get(phantom.finding or "", (0.0, 100.0))
    percent = 100 * phantom.mask.mean()
    return "small" if percent < small else "large" if percent > large else None
