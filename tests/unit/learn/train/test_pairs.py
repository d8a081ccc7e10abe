"""Pairs from every source, and every problem with them at once."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dualsight.errors import ImageError, TrainingError
from dualsight.learn.train.config import FolderSource, ManifestSource, TrainConfig, TsvSource
from dualsight.learn.train.dry_run import check_everything
from dualsight.learn.train.pairs import read_data, read_source
from dualsight.learn.train.recipe import Recipe

DICOM = Path(__file__).parents[3] / "data" / "images" / "pydicom" / "SC_rgb_rle_2frame.dcm"


def draw(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 24, 3), np.uint8)).save(path)
    return path


def write_tables(folder: Path, images: list[str], texts: list[str]) -> TsvSource:
    (folder / "images.tsv").write_text("".join(f"{line}\n" for line in images))
    (folder / "texts.tsv").write_text("".join(f"{line}\n" for line in texts))
    return TsvSource(images=folder / "images.tsv", texts=folder / "texts.tsv")


def text(name: str, number: int = 0) -> str:
    return json.dumps({"class_id": number, "class_name": name, "source": "x", "task": "classification"})


def test_a_folder_for_each_label(tmp_path: Path) -> None:
    draw(tmp_path / "b" / "deep" / "1.png")
    draw(tmp_path / "a" / "2.png")
    (tmp_path / "a" / ".hidden").write_text("")
    draw(tmp_path / "a" / ".ipynb_checkpoints" / "1.png")
    pairs, problems = read_source(FolderSource(folder=tmp_path))
    assert not problems
    assert [(pair.labels, Path(pair.place).name) for pair in pairs] == [(("a",), "2.png"), (("b",), "1.png")]
    (tmp_path / "empty").mkdir()
    assert read_source(FolderSource(folder=tmp_path))[1] == [f"{tmp_path / 'empty'}: no picture of this label"]
    assert "no such folder" in read_source(FolderSource(folder=tmp_path / "x"))[1][0]


def test_a_manifest_with_dicom_and_captions(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(f'path,split,report\n{DICOM},train,"one, two"\n{DICOM},train,three\n')
    source = ManifestSource(manifest=tmp_path / "p.csv", split="train", text_column="report")
    pairs, problems = read_source(source)
    assert not problems
    assert [(pair.labels, pair.text) for pair in pairs] == [((), "one, two"), ((), "three")]
    assert len(list(pairs[0].frames("auto"))) == 2
    data = read_data(TrainConfig(output=tmp_path / "o", train=source))
    assert data.labels == ()


def test_mi2s_tables(tmp_path: Path) -> None:
    picture = draw(tmp_path / "1.png")
    coded = base64.b64encode(picture.read_bytes()).decode()
    source = write_tables(tmp_path, [f"k1\t{coded}", f"k2\t{coded}\r"], [f"k2\t{text('b', 1)}", f"k1\t{text('a')}"])
    pairs, problems = read_source(source)
    assert not problems
    assert [pair.labels for pair in pairs] == [("a",), ("b",)]
    for pair in pairs:
        (frame,) = pair.frames("auto")
        np.testing.assert_array_equal(frame.pixels, np.asarray(Image.open(picture)))


def test_every_problem_of_mi2s_tables(tmp_path: Path) -> None:
    source = write_tables(
        tmp_path,
        ["k1\tAAAA", "k1\tAAAA", "no tab", "alone\tAAAA", "k2\t", "k9\t!!!"],
        [f"k1\t{text('a')}", "k2\t{", f"k3\t{text('b')}", "k4\t{}", f"k9\t{text('c', 9)}", f"k9\t{text('c', 9)}"],
    )
    pairs, problems = read_source(source)
    for part in (
        "texts.tsv, line 2: not JSON",
        "texts.tsv, line 3: class 0 is called 'b' here, and 'a' before",
        "texts.tsv, line 4: no class_name",
        "texts.tsv, line 6: the key 'k9' comes twice",
        "images.tsv, line 2: the key 'k1' comes twice",
        "images.tsv, line 3: no tab",
        "images.tsv, line 4: the key 'alone' has no text",
        "images.tsv, line 5: no picture",
        "texts.tsv: the key 'k3' has no picture",
    ):
        assert any(part in problem for problem in problems), (part, problems)
    with pytest.raises(ImageError, match=r"images.tsv, line 6: not base64"):
        next(pairs[-1].frames("auto"))


def test_every_problem_of_a_run_at_once(tmp_path: Path) -> None:
    """Missing file, broken row, label typo, patient leak, empty class: the list of them, not the first."""
    for i in range(24):
        draw(tmp_path / f"{i}.png", seed=i)
    rows = [f"{i}.png,{'effusion' if i % 2 else 'normal'},P{i},{'val' if i > 19 else 'train'}" for i in range(24)]
    rows += ["gone.png,normal,P90,train", "1.png,efusion,P91,train", "2.png,normal", "3.png,normal,P23,train"]
    (tmp_path / "p.csv").write_text("path,label,patient,split\n" + "\n".join(rows) + "\n")
    train, val = (ManifestSource(manifest=tmp_path / "p.csv", split=split) for split in ("train", "val"))
    with pytest.raises(TrainingError) as caught:
        read_data(TrainConfig(output=tmp_path / "o", train=train, validation=val))
    for part in ("no file gone.png", "'efusion'", "row 28: 2 values", "one patient in the splits", "no 'efusion'"):
        assert any(part in problem for problem in caught.value.problems), (part, caught.value.problems)
        assert part in str(caught.value)
    assert len(set(caught.value.problems)) == len(caught.value.problems)


def test_leaks_between_two_tables_and_labels_that_are_not_there(tmp_path: Path) -> None:
    for i in range(3):
        draw(tmp_path / f"{i}.png", seed=i)
    (tmp_path / "t.csv").write_text("path,label,patient\n0.png,mass,Doe\n1.png,mas,P1\n")
    (tmp_path / "v.csv").write_text("path,label,patient\n2.png,mass,Doe\n0.png,cyst,P3\n")
    config = TrainConfig(
        output=tmp_path / "o",
        train=ManifestSource(manifest=tmp_path / "t.csv"),
        validation=ManifestSource(manifest=tmp_path / "v.csv"),
        labels=("mass", "nodule"),
        templates=("x-ray",),
    )
    with pytest.raises(TrainingError) as caught:
        read_data(config)
    told = "\n".join(caught.value.problems)
    assert "t.csv, row 3: the label 'mas' is not among the labels of the configuration: 'mass' may be meant" in told
    assert "v.csv, row 3: the label 'cyst' is not among" in told
    assert "the label 'nodule' has no picture to train on" in told
    assert f"v.csv, row 2: its patient is also trained on ({tmp_path / 't.csv'}, row 2)" in told
    assert "v.csv, row 3: the same picture is also trained on" in told
    assert "templates: template 'x-ray' has no {label}" in told
    assert "Doe" not in told
    assert str(caught.value).startswith("6 problems")


def test_class_prompts_need_one_label_each(tmp_path: Path) -> None:
    draw(tmp_path / "0.png")
    (tmp_path / "t.csv").write_text("path,label\n0.png,mass|cyst\n")
    source = ManifestSource(manifest=tmp_path / "t.csv")
    config = TrainConfig(output=tmp_path / "o", train=source, recipe=Recipe(class_prompts=True))
    with pytest.raises(TrainingError, match="every picture must have one label"):
        read_data(config)


def test_captions_that_are_measured_on_are_no_pairs_without_a_label(tmp_path: Path) -> None:
    for i in range(4):
        draw(tmp_path / f"{i}.png", seed=i)
    (tmp_path / "t.csv").write_text("path,label\n0.png,mass\n1.png,cyst\n")
    (tmp_path / "v.csv").write_text("path,report\n2.png,a mass\n3.png,a cyst\n")
    train = ManifestSource(manifest=tmp_path / "t.csv")
    validation = ManifestSource(manifest=tmp_path / "v.csv", text_column="report")
    recipe = Recipe(class_prompts=True)
    data = read_data(TrainConfig(output=tmp_path / "o", train=train, validation=validation, recipe=recipe))
    assert not data.is_multilabel and [pair.text for pair in data.validation] == ["a mass", "a cyst"]


@pytest.mark.parametrize("workers", [0, 1])
def test_all_pictures_that_do_not_open_are_told(tmp_path: Path, workers: int) -> None:
    for i in range(4):
        draw(tmp_path / "a" / f"{i}.png", seed=i)
    (tmp_path / "a" / "1.png").write_bytes((tmp_path / "a" / "0.png").read_bytes()[:60])
    (tmp_path / "a" / "3.png").write_text("no picture")
    (tmp_path / "b").mkdir()
    config = TrainConfig(output=tmp_path / "o", train=FolderSource(folder=tmp_path), workers=workers)
    with pytest.raises(TrainingError) as caught:
        check_everything(config)
    assert [any(name in problem for problem in caught.value.problems) for name in ("1.png", "3.png", "/b:")] == [
        True
    ] * 3
    assert len(caught.value.problems) == 3
    assert not (tmp_path / "o").exists()


def test_a_picture_is_the_same_however_it_is_spelt(tmp_path: Path) -> None:
    draw(tmp_path / "0.png")
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "0.png")
    (tmp_path / "t.csv").write_text("path,label\n0.png,mass\n")
    (tmp_path / "v.csv").write_text("path,label\nsub/../0.png,mass\nlink.png,mass\n")
    train, val = (ManifestSource(manifest=tmp_path / name) for name in ("t.csv", "v.csv"))
    with pytest.raises(TrainingError) as caught:
        read_data(TrainConfig(output=tmp_path / "o", train=train, validation=val))
    assert ["same picture is also trained on" in problem for problem in caught.value.problems] == [True, True]


def test_a_table_that_goes_away_is_an_error_of_its_picture(tmp_path: Path) -> None:
    source = write_tables(tmp_path, ["k1\tAAAA"], [f"k1\t{text('a')}"])
    (pair,), problems = read_source(source)
    assert not problems
    source.images.unlink()
    with pytest.raises(ImageError, match=r"images.tsv, line 1: cannot be read"):
        next(pair.frames("auto"))
