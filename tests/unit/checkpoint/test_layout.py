from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from dualsight.checkpoint.layout import Layout, locate
from dualsight.errors import CheckpointError

OFFICIAL = (
    "config.yaml",
    "vision_model/medimageinsigt-v1.0.0.pt",
    "language_model/clip_tokenizer_4.16.2/vocab.json",
    "language_model/clip_tokenizer_4.16.2/merges.txt",
)


@pytest.fixture
def lay(tmp_path: Path) -> Callable[..., Path]:
    """Empty files of these names; the folder they lie in."""

    def make(*names: str) -> Path:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return make


def test_the_official_folder(lay: Callable[..., Path]) -> None:
    folder = lay(*OFFICIAL, "language_model/language_model.pth")
    assert locate(folder) == Layout(
        folder,
        folder / "config.yaml",
        folder / "vision_model/medimageinsigt-v1.0.0.pt",
        folder / "language_model/clip_tokenizer_4.16.2",
    )


def test_the_folder_above_and_the_weight_file_lead_to_the_same(lay: Callable[..., Path]) -> None:
    root = lay(*(f"2024.09.27/{name}" for name in OFFICIAL))
    official = locate(root / "2024.09.27")
    assert locate(root) == official
    assert locate(root / "2024.09.27/vision_model/medimageinsigt-v1.0.0.pt") == official


def test_a_plain_folder_and_its_weight_file(lay: Callable[..., Path]) -> None:
    folder = lay("config.yaml", "model.safetensors", "vocab.json", "merges.txt")
    expected = Layout(folder, folder / "config.yaml", folder / "model.safetensors", folder)
    assert locate(folder) == expected
    assert locate(folder / "model.safetensors") == expected


def test_without_a_tokenizer_the_packaged_one_is_used_and_said(
    lay: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder = lay("config.yaml", "model.safetensors", "vocab.json")  # half a tokenizer is none
    with caplog.at_level(logging.INFO):
        assert locate(folder).tokenizer is None
    assert "packaged" in caplog.text


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ((), "no config.yaml here or in a folder below"),
        (("config.yaml",), r"no weight file \(\.safetensors\)$"),
        (("config.yaml", "tuned.bin"), r"no weight file \(\.safetensors\)$"),
        (("config.yaml", "vision_model/readme.md"), r"vision_model: no weight file \(\.safetensors, \.pt"),
        (("config.yaml", "a.safetensors", "b.safetensors"), "2 weight files: a.safetensors, b.safetensors"),
        (("config.yaml", "vision_model/a.pt", "vision_model/b.pt"), "2 weight files"),
        (("a/config.yaml", "b/config.yaml"), "2 checkpoints below: a, b"),
        (
            (*OFFICIAL, "language_model/other/vocab.json", "language_model/other/merges.txt"),
            "2 tokenizers: clip_tokenizer_4.16.2, other",
        ),
    ],
)
def test_none_or_several_is_an_error_that_names_them(
    lay: Callable[..., Path], names: tuple[str, ...], problem: str
) -> None:
    folder = lay(*names)
    with pytest.raises(CheckpointError, match=problem) as error:
        locate(folder)
    assert error.value.hint


def test_a_weight_file_without_a_config(lay: Callable[..., Path]) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.yaml beside it"):
        locate(lay("other/model.safetensors", "config.yaml") / "other/model.safetensors")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file or folder"):
        locate(tmp_path / "gone")
