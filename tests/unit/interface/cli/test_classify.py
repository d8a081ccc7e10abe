from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import dualsight
from dualsight.checkpoint.layout import DEMO_MARK
from dualsight.errors import ConfigError
from dualsight.interface.cli.classify_rows import JsonRows, show_rows
from dualsight.task.classify import Classification
from series_files import write_series

LABELS = ["pneumonia", "no finding", "pleural effusion"]
CINE = Path(__file__).parents[3] / "data" / "images" / "pydicom" / "SC_rgb_rle_2frame.dcm"


@pytest.fixture
def ask(run, weights: Path):
    return lambda *arguments: run("classify", *arguments, "--model", weights, "--labels", ",".join(LABELS))


def test_json_says_what_python_says(ask, weights: Path, picture: Path, other: Path) -> None:
    result = ask(picture, other, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    expected = dualsight.load(weights).classify([picture, other], LABELS)
    assert document["model"] == weights.name and document["fingerprint"] == dualsight.load(weights).fingerprint
    assert [row["source"] for row in document["results"]] == [str(picture), str(other)]
    assert [row["probabilities"] for row in document["results"]] == [answer.as_dict() for answer in expected]
    assert list(document["results"][0]["probabilities"]) == list(expected[0].labels)


def test_what_an_error_ends_is_a_whole_document(
    weights: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = dualsight.load(weights)

    def stream() -> Iterator[Classification]:
        yield from model.classify(picture, LABELS)
        raise ConfigError("the rest is gone")

    with pytest.raises(ConfigError):
        show_rows(stream(), JsonRows(model, False, None), "classifying", total=None)
    assert len(json.loads(capsys.readouterr().out)["results"]) == 1


def test_templates_and_multilabel_reach_the_model(ask, weights: Path, picture: Path) -> None:
    templates = ("x-ray chest {label}", "ct chest {label}")
    arguments = [word for template in templates for word in ("--template", template)]
    document = json.loads(ask(picture, "--multilabel", "--json", *arguments).stdout)
    (expected,) = dualsight.load(weights).classify(picture, LABELS, multilabel=True, templates=templates)
    assert document["multilabel"] is True
    assert document["results"][0]["probabilities"] == expected.as_dict()


def test_csv_has_a_line_a_label(ask, picture: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(ask(picture, "--csv").stdout)))
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    assert {row["label"] for row in rows} == set(LABELS)
    probabilities = [float(row["probability"]) for row in rows]
    assert sum(probabilities) == pytest.approx(1)
    assert probabilities == sorted(probabilities, reverse=True)


def test_text_has_the_bar_of_each_probability(ask, picture: Path) -> None:
    lines = ask(picture).stdout.splitlines()
    assert lines[0] == str(picture)
    assert len(lines) == 4
    for line in lines[1:]:
        assert line.count("█") == pytest.approx(float(line.split()[0]) * 20, abs=0.52)


def test_top_leaves_the_rest_out(ask, picture: Path) -> None:
    assert len(ask(picture, "--top", 1).stdout.splitlines()) == 2
    assert len(json.loads(ask(picture, "--top", 2, "--json").stdout)["results"][0]["probabilities"]) == 2


def test_frames_are_named_only_where_each_has_its_own_result(ask) -> None:
    each = ask(CINE, "--per", "frame", "--top", 1).stdout.splitlines()
    assert each[0].endswith(", frame 0")
    assert each[2].endswith(", frame 1")
    assert ask(CINE, "--top", 1).stdout.splitlines()[0] == str(CINE)


def test_series_and_studies_are_one_answer_each_in_every_form(ask, weights: Path, tmp_path: Path) -> None:
    write_series(tmp_path, 3, study="1.1", series="1.1.1")
    write_series(tmp_path, 2, study="1.1", series="1.1.2")
    model = dualsight.load(weights)
    for per, counts in (("series", [3, 2]), ("study", [5])):
        expected = model.classify(dualsight.image.scan(tmp_path), LABELS, per=per, pool="median")  # type: ignore[arg-type]
        arguments = (tmp_path, "--per", per, "--pool", "median")
        rows = json.loads(ask(*arguments, "--json").stdout)["results"]
        assert [row["probabilities"] for row in rows] == [answer.as_dict() for answer in expected]
        assert [row["n_frames"] for row in rows] == counts
        assert {(row["study_instance_uid"], row["sop_instance_uid"], row["frame_index"]) for row in rows} == {
            ("1.1", None, None)
        }
        lines = list(csv.DictReader(io.StringIO(ask(*arguments, "--csv", "--top", 1).stdout)))
        assert [line["n_frames"] for line in lines] == [str(count) for count in counts]
        assert [line["series_instance_uid"] for line in lines] == (["1.1.1", "1.1.2"] if per == "series" else [""])
        assert [line["label"] for line in lines] == [answer.top for answer in expected]
        text = ask(*arguments, "--top", 1).stdout.splitlines()
        assert [line for line in text if "frames" in line] == [
            f"{answer.source}, {per} of {answer.n_frames} frames" for answer in expected
        ]


def test_a_bad_picture_fails_alone_and_by_name(ask, picture: Path, broken: Path, other: Path) -> None:
    result = ask(picture, broken, other, "nowhere.png", "--json")
    assert result.exit_code == 1
    rows = json.loads(result.stdout)["results"]
    assert ["error" in row for row in rows] == [False, True, False, True]
    assert f"error: {broken}: " in result.stderr
    assert "error: nowhere.png: " in result.stderr


def test_a_folder_is_walked(ask, picture: Path, other: Path) -> None:
    (picture.parent / "notes.txt").write_text("no picture")
    result = ask(picture.parent, "--json")
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)["results"]) == 2
    assert "skipped " in result.stderr


def test_a_folder_without_pictures_is_a_failure(ask, tmp_path: Path) -> None:
    result = ask(tmp_path)
    assert result.exit_code == 1
    assert "error: no pictures found" in result.stderr


def test_labels_from_a_file(run, weights: Path, picture: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("\ufeffmass, 3 cm\n\n no finding \n", encoding="utf-8")
    result = run("classify", picture, "--labels-file", file, "--model", weights, "--json")
    assert set(json.loads(result.stdout)["results"][0]["probabilities"]) == {"mass, 3 cm", "no finding"}


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--labels", "a,,b"),
        ("--labels", ""),
        ("--labels-file", "nowhere.txt"),
        ("--labels", "a,b", "--labels-file", "nowhere.txt"),
        ("--labels", "a,b", "--json", "--csv"),
        ("--labels", "a,b", "--window", "lungs"),
        ("--labels", "a,b", "--top", "0"),
        ("--labels", "a,b", "--per", "pixel"),
        ("--labels", "a,b", "--pool", "sum"),
    ],
)
def test_a_wrong_command_line_ends_before_the_model_is_loaded(run, picture: Path, arguments: tuple[str, ...]) -> None:
    result = run("classify", picture, "--model", "no/such/model", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_labels_that_the_model_refuses_are_an_error(run, weights: Path, picture: Path) -> None:
    result = run("classify", picture, "--model", weights, "--labels", "a,a")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: label 'a'")


def test_a_model_that_is_not_there(run, picture: Path, tmp_path: Path) -> None:
    result = run("classify", picture, "--model", tmp_path / "nowhere", "--labels", "a,b")
    assert result.exit_code == 1
    assert "error: " in result.stderr
    assert result.stdout == ""


def test_a_model_with_a_notice_says_it_on_stderr(run, picture: Path, weights: Path, tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    shutil.copytree(weights, demo)
    config = next(demo.glob("**/config.yaml"))
    config.write_text(f"{DEMO_MARK}\n{config.read_text()}")
    result = run("classify", picture, "--labels", "a,b", "--json", "--model", demo)
    assert result.exit_code == 0
    assert "never for diagnosis" in result.stderr
    assert "never for diagnosis" in json.loads(result.stdout)["notice"]
