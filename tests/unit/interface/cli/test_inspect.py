from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from dualsight.errors import ConfigError, NoSuchPreset, OutputError
from dualsight.interface.cli.inspect import inspect
from golden import Golden

CINE = Path(__file__).parents[3] / "data" / "images" / "pydicom" / "SC_rgb_rle_2frame.dcm"

app = typer.Typer()
app.command()(inspect)


def _run(*arguments: str | Path, **environment: str) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "80", "NO_COLOR": "1", **environment})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    file = tmp_path / "picture.png"
    Image.fromarray(Golden("davit").images()[0]).save(file)
    return file


def test_official_config_reproduces_the_articles_table() -> None:
    lines = [line.split() for line in _run(Golden("official-size").config).splitlines()]
    table = {" ".join(words[:-4]): words[-4:] for words in lines if len(words) > 4}
    assert table["kernel"] == ["7", "3", "3", "3"]
    assert table["stride"] == ["4", "2", "2", "2"]
    assert table["padding"] == ["3", "1", "1", "1"]
    assert table["grid"] == ["120×120", "60×60", "30×30", "15×15"]
    assert table["channels"] == ["256", "512", "1,024", "2,048"]
    assert table["heads"] == table["groups"] == ["8", "16", "32", "64"]
    assert table["pairs of blocks"] == ["1", "1", "9", "1"]
    together = [words for words in lines if words[:1] == ["together"]]
    assert together[-1] == ["together", "615,996,417"]


def test_no_line_is_wider_than_the_terminal() -> None:
    text = _run(Golden("davit").config, "--compare", "--weights", COLUMNS="60")
    assert max(map(len, text.splitlines())) <= 60
    assert "\x1b" not in text


def test_weights_are_the_checkpoints_keys() -> None:
    document = json.loads(_run(Golden("davit").config, "--weights", "--json"))
    assert {row["key"]: tuple(row["shape"]) for row in document["weights"]} == Golden("davit").keys
    listed = _run(Golden("davit").config, "--weights", COLUMNS="200")
    assert all(key in listed for key in Golden("davit").keys)


def test_json_holds_the_whole_walk(recipe_folder: Callable[[str], Path], picture: Path) -> None:
    folder = recipe_folder("davit")
    document = json.loads(_run(folder, "--image", picture, "--text", "chest", "--text", "brain", "--json"))
    assert document["model"] == "2024.09.27"
    assert [stage["tokens"]["shape"] for stage in document["image"]["stages"]] == [
        [1, 576, 16],
        [1, 144, 32],
        [1, 36, 64],
        [1, 9, 128],
    ]
    assert [text["text"] for text in document["texts"]] == ["chest", "brain"]
    assert sum(row["softmax"] for row in document["matches"]) == pytest.approx(1)
    assert len(document["image"]["embedding"]) == 40
    assert document["parameters"] == sum(
        (document["image_encoder"]["parameters"], document["text_encoder"]["parameters"])
    ) + sum(row["parameters"] for row in document["projections"])


def test_walks_are_shown(recipe_folder: Callable[[str], Path], picture: Path) -> None:
    shown = _run(recipe_folder("davit"), "--image", picture, "--text", "x-ray chest")
    for words in ("stage 4, after blocks", "first component", "5 (pooled)", "read as “x - ray chest”", "cosine"):
        assert words in shown
    assert "▓" in shown


def test_frames_count_from_0_as_everywhere(recipe_folder: Callable[[str], Path], tmp_path: Path) -> None:
    page = tmp_path / "walk.html"
    words = (recipe_folder("davit"), "--image", CINE)
    index = json.loads(_run(*words, "--json"))["image"]["frame_index"]
    assert f", frame {index} of 2, counted from 0" in " ".join(_run(*words, "--html", page).split())
    assert f"This is frame {index} of 2, counted from 0." in page.read_text(encoding="utf-8")


def test_html_is_written(recipe_folder: Callable[[str], Path], picture: Path, tmp_path: Path) -> None:
    page = tmp_path / "walk.html"
    _run(recipe_folder("davit"), "--image", picture, "--html", page)
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_html_without_a_picture_is_a_usage_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["davit-tiny", "--html", str(tmp_path / "walk.html")])
    assert result.exit_code == 2
    assert "--image" in result.output


def test_a_page_with_no_place_is_refused_first(picture: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no folder"):
        _run("davit-tiny", "--image", picture, "--html", tmp_path / "nowhere" / "walk.html")


def test_a_configuration_cannot_walk(picture: Path) -> None:
    with pytest.raises(ConfigError, match="without weights"):
        _run("davit-tiny", "--image", picture)


def test_an_unknown_name_offers_a_near_one() -> None:
    with pytest.raises(NoSuchPreset) as error:
        _run("davit-tyni")
    assert "davit-tiny" in error.value.hint


def test_published_names_compare_at_their_own_size() -> None:
    document = json.loads(_run("davit-tiny", "--compare", "--json"))
    assert [row["name"] for row in document["compare"]] == ["davit-tiny", "davit-small", "davit-base"]
    assert document["image_encoder"]["image_size"] == [224, 224]
    assert document["text_encoder"] is None


def test_attention_of_a_picture(run, weights: Path, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "attention.png"
    result = run("inspect", weights, "--image", picture, "--attention", out, "--at", "0.2,0.8", "--json")
    assert result.exit_code == 0, result.stderr
    assert str(out) in result.stderr
    with Image.open(out) as sheet:
        assert sheet.height > 400


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--attention", "a.png"), "give one with --image"),
        (("--image", "x.png", "--attention", "a.jpg"), "does not end in .png"),
        (("--image", "x.png", "--at", "middle"), "is not X,Y"),
    ],
)
def test_what_cannot_be_meant_of_attention(run, weights: Path, words: tuple[str, ...], said: str) -> None:
    result = run("inspect", weights, *words)
    assert result.exit_code == 2 and said in " ".join(result.stderr.replace("│", " ").split())


def test_attention_has_no_place_outside_the_picture(run, weights: Path, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "attention.png"
    result = run("inspect", weights, "--image", picture, "--attention", out, "--at", "2,0")
    assert result.exit_code == 1 and "no place at" in result.stderr and not out.exists()
