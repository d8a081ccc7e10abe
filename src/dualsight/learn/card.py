"""The demonstration model's card: what it is, what was measured and how."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from dualsight.learn.zero_shot import ZeroShotReport

TEXT = """\
# dualsight demonstration model

A small dual encoder of MedImageInsight's architecture (DaViT, {image_parameters:,} parameters, and a
non-autoregressive text transformer, {text_parameters:,} parameters, of which most are the official vocabulary),
trained from nothing on procedural pictures. **A demonstration, never for diagnosis.** It has not seen one real
picture; what it says of real ones means nothing.

- Trained with UniCL by dualsight's own code on {pictures:,} phantoms of ten modalities: {steps:,} steps of
  {batch}, seed {seed}, {minutes:.0f} minutes on {cores} cores ({processor}, {precision}).
- Two pictures of each patient, in the same batch: one acquisition, drawn once with a finding and once without it or
  with another, so that the finding alone tells them apart. Some had all but the finding exchanged with each other, and
  half were blurred in places by chance, the same in both; some were blurred as a whole, and count as without a finding
  where it is finer than the blur. Modalities with small and faint findings are drawn up to four times as often.
- While it was trained, the third stage was also told where on its 7×7 grid the finding lies (deep supervision, by a
  linear layer that is not part of the model). So its heat maps point at findings better than those of a model that has
  seen pictures and texts alone, as the official one has.
- Captions in MedImageInsight's order (modality, anatomy, view, finding), some with other words for these, a side, a
  size ("small", "large", by the share of the picture) or a finding that is not there ("no ascites").
- Made again by `make demo-checkpoint` (the same seed; other processors round differently).
- Weights are stored in float16 and computed in float32.

## Measured

On {held_out:,} phantoms of patients that it never saw (patient numbers from {first_patient:,} on; one picture each,
a quarter without a finding; 256×256, resized as a user's picture is), by prompts alone:

| | |
|---|---|
| modality, top-1 among ten names | {modality_top1:.3f} |
| findings, mean zero-shot AUC over {n_findings} | {mean_auc:.3f} |
| the same with the truth shuffled (a check that the figure can fail) | {shuffled_auc:.3f} |
| a finding against its denial ("no …"), mean AUC | {mean_absence_auc:.3f} |
| side of a finding, where it has one that the view does not name, top-1 of two | {laterality_top1:.3f} |

A finding's AUC is one against the rest of its own modality's pictures, normal ones and those with other findings,
of its probability among the modality's labels; each label's vector is the mean over the modality's views.

| modality | finding | AUC | pictures with it |
|---|---|---|---|
{rows}

Made again by `python -m dualsight.learn.demo --measure FOLDER`.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a checkpoint was made; kept beside it as training.json."""

    seed: int
    pictures: int
    steps: int
    batch: int
    minutes: float
    cores: int
    processor: str
    precision: str  # of the encoders' forward pass in training
    final_loss: float


def card(
    report: ZeroShotReport,
    shuffled: ZeroShotReport,
    *,
    training: Training,
    image_parameters: int,
    text_parameters: int,
    first_patient: int,
) -> str:
    """The card in Markdown."""
    rows = (f"| {f.modality} | {f.finding} | {f.auc:.3f} | {f.positives} |" for f in report.findings)
    return TEXT.format(
        **asdict(training),
        image_parameters=image_parameters,
        text_parameters=text_parameters,
        held_out=report.pictures,
        first_patient=first_patient,
        modality_top1=report.modality_top1,
        n_findings=len(report.findings),
        mean_auc=report.mean_auc,
        mean_absence_auc=report.mean_absence_auc,
        laterality_top1=report.laterality_top1,
        shuffled_auc=shuffled.mean_auc,
        rows="\n".join(rows),
    )
