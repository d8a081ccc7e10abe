from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dualsight.checkpoint import save
from dualsight.checkpoint.load import load_checkpoint
from dualsight.checkpoint.save import save_checkpoint, write_weights
from dualsight.checkpoint.weights import map_tensors, read_header
from dualsight.errors import ConfigError, OutputError
from folder_contents import contents
from golden import WEIGHTS

Folder = Callable[[str], Path]


@pytest.mark.parametrize("name", ["davit", "coswin"])
def test_an_official_folder_comes_back_byte_for_byte(recipe_folder: Folder, tmp_path: Path, name: str) -> None:
    checkpoint = load_checkpoint(recipe_folder(name))
    folder = save_checkpoint(
        tmp_path / "again" / "2024.09.27",
        checkpoint.model,
        checkpoint.config_text,
        tokenizer_folder=checkpoint.tokenizer_folder,
    )
    assert contents(folder) == contents(recipe_folder(name))


def test_saving_twice_gives_the_same_bytes_from_any_layout(recipe_folder: Folder, tmp_path: Path) -> None:
    source = tmp_path / "earlier"
    source.mkdir()
    shutil.copy(recipe_folder("davit") / "config.yaml", source)
    stored = map_tensors(recipe_folder("davit") / WEIGHTS)
    earlier = {key.replace("image_encoder.", "visual."): stored[key] for key in reversed(stored)}
    write_weights(source / "model.safetensors", earlier, dtype=torch.float16)
    first = load_checkpoint(source)
    once = save_checkpoint(tmp_path / "once", first.model, first.config_text)
    second = load_checkpoint(once)
    twice = save_checkpoint(tmp_path / "twice", second.model, second.config_text)
    assert contents(once) == contents(twice)
    assert second.fingerprint == first.fingerprint


def test_a_crlf_config_keeps_its_line_ends(recipe_folder: Folder, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(recipe_folder("davit"))
    text = checkpoint.config_text.replace("\n", "\r\n")
    folder = save_checkpoint(tmp_path / "crlf", checkpoint.model, text)
    assert (folder / "config.yaml").read_bytes() == text.encode()
    assert load_checkpoint(folder).config_text == text


def test_half_precision_on_request(recipe_folder: Folder, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(recipe_folder("davit"))
    folder = save_checkpoint(tmp_path / "half", checkpoint.model, checkpoint.config_text, dtype=torch.float16)
    assert {info.dtype for info in read_header(folder / WEIGHTS).values()} == {"F16"}
    halved = load_checkpoint(folder).model.image_projection
    torch.testing.assert_close(halved, checkpoint.model.image_projection, atol=1e-3, rtol=1e-3)


def test_a_folder_in_use_is_left_alone(recipe_folder: Folder, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(recipe_folder("davit"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(OutputError, match="mine: exists already"):
        save_checkpoint(tmp_path / "mine", checkpoint.model, checkpoint.config_text)
    assert contents(tmp_path) == {"mine/notes.txt": b"keep"}


def test_a_config_of_another_model_is_refused(recipe_folder: Folder, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(recipe_folder("davit"))
    with pytest.raises(ConfigError, match="another model"):
        save_checkpoint(tmp_path / "x", checkpoint.model, (recipe_folder("davit-mup") / "config.yaml").read_text())


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_nothing_is_left_of_a_save_that_broke_off(
    recipe_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruption: BaseException
) -> None:
    checkpoint = load_checkpoint(recipe_folder("davit"))

    def half_written(tensors: dict[str, torch.Tensor], path: Path) -> None:
        path.write_bytes(b"half")
        raise interruption

    monkeypatch.setattr(save, "save_file", half_written)
    with pytest.raises((KeyboardInterrupt, OutputError)) as error:
        save_checkpoint(tmp_path / "out", checkpoint.model, checkpoint.config_text)
    assert list(tmp_path.iterdir()) == []
    if isinstance(interruption, OSError):
        assert "No space left" in str(error.value)
        assert isinstance(error.value, OutputError)
        assert "bytes of disk" in error.value.hint


def test_a_weight_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    write_weights(path, {"a": torch.ones(2)})
    mapped = map_tensors(path)["a"]
    monkeypatch.setattr(save, "save_file", lambda *_: (_ for _ in ()).throw(OSError("broken")))
    with pytest.raises(OutputError, match=r"model\.safetensors: cannot be written"):
        write_weights(path, {"a": torch.zeros(2)})
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]
    monkeypatch.undo()
    write_weights(path, {"a": torch.zeros(2)})
    assert torch.equal(map_tensors(path)["a"], torch.zeros(2))
    assert torch.equal(mapped, torch.ones(2))  # the older file lives on where it is mapped


def test_others_may_read_what_was_saved(tmp_path: Path) -> None:
    write_weights(tmp_path / "model.safetensors", {"a": torch.ones(2)})
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o777 == 0o644


def test_a_place_that_cannot_be_written(recipe_folder: Folder, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(recipe_folder("davit"))
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be made"):
        save_checkpoint(tmp_path / "file" / "out", checkpoint.model, checkpoint.config_text)
