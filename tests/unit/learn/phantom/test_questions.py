"""Each picture has exactly one right answer."""

from __future__ import annotations

import numpy as np
import pytest

from dualsight.learn.phantom.questions import CLASS_OF, CLASSES, Questions

EFFUSION = CLASS_OF["x-ray", "pleural effusion"]
EDEMA = CLASS_OF["x-ray", "pulmonary edema"]
NORMAL = CLASS_OF["x-ray", None]
GLAUCOMA = CLASS_OF["fundus", "glaucoma"]
ALL = np.arange(5)


@pytest.fixture
def questions() -> Questions:
    classes = np.array([EFFUSION, EFFUSION, EDEMA, NORMAL, GLAUCOMA])
    return Questions(classes, np.array(["left", "right", "", "", "left"]))


def test_which_and_where(questions: Questions) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        prompts, answers = questions.where(ALL, rng)
        assert len(prompts) == len(CLASSES) + 2
        said = [prompts[i] for i in answers]
        assert said[0].endswith("left pleural effusion")
        assert said[1].endswith("right pleural effusion")
        assert said[2] in [f"x-ray chest {view} pulmonary edema" for view in CLASSES[EDEMA][0].views]
        assert said[3].endswith("no finding")
        assert said[4] == "fundus retina left eye left glaucoma"


def test_is_it_there(questions: Questions) -> None:
    rng = np.random.default_rng(0)
    affirmed = set()
    for _ in range(60):
        prompts, answers = questions.present(ALL, rng)
        assert len(set(prompts)) == len(prompts) == 20
        for number, answer in zip(questions.classes.tolist(), answers.tolist(), strict=True):
            modality, finding = CLASSES[number]
            yes, no = prompts[answer - answer % 2], prompts[answer - answer % 2 + 1]
            assert yes.startswith(modality.name)
            assert no.replace(" no ", " ").split()[-1] == yes.split()[-1]
            if finding is not None and yes.endswith(finding):
                assert answer % 2 == 0
                affirmed.add(finding)
            else:
                assert answer % 2 == 1
    assert affirmed == {"pleural effusion", "pulmonary edema", "glaucoma"}


def test_questions_come_by_chance(questions: Questions) -> None:
    rng = np.random.default_rng(0)
    counts = [len(questions.ask(ALL, rng)[0]) for _ in range(200)]
    assert {len(CLASSES), len(CLASSES) + 2, 20} == set(counts)
    prompts, answers = next(
        asked for asked in iter(lambda: questions.ask(ALL, rng), None) if len(asked[0]) == len(CLASSES)
    )
    assert [prompts[i].split()[-1] for i in answers] == ["effusion", "effusion", "edema", "finding", "glaucoma"]
