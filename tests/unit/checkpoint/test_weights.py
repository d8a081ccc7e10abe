from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from dualsight.checkpoint.weights import TensorInfo, as_floats, map_tensors, read_header, sha256
from dualsight.errors import CheckpointError, CorruptFile

TENSORS = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor(1.5), "c": torch.ones(4, dtype=torch.float16)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_file(TENSORS, tmp_path / "weights.pt")  # told by content, whatever the suffix
    return tmp_path / "weights.pt"


def test_header_gives_types_and_shapes(file: Path) -> None:
    assert read_header(file) == {
        "a": TensorInfo("F32", ()),
        "b": TensorInfo("F32", (2, 3)),
        "c": TensorInfo("F16", (4,)),
    }


def test_mapped_tensors_equal_the_stored_ones(file: Path) -> None:
    mapped = map_tensors(file)
    assert mapped.keys() == TENSORS.keys()
    assert all(torch.equal(mapped[key], TENSORS[key]) for key in TENSORS)


def test_writing_to_a_mapped_tensor_leaves_the_file_alone(file: Path) -> None:
    before = sha256(file)
    map_tensors(file)["b"].zero_()
    assert sha256(file) == before
    assert torch.equal(map_tensors(file)["b"], TENSORS["b"])


@pytest.mark.parametrize("by", [-1, 1])
def test_a_file_of_another_length_than_its_header_says(file: Path, by: int) -> None:
    size = file.stat().st_size
    file.write_bytes((file.read_bytes() + b"\0")[: size + by])
    with pytest.raises(CorruptFile, match=rf"{size + by:,} bytes, and {size:,} expected") as error:
        map_tensors(file)
    assert str(file) in str(error.value)


def _zip_pickle() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
    return buffer.getvalue()


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("a pickle was opened",)


@pytest.mark.parametrize("content", [_zip_pickle(), pickle.dumps(Bomb(), 2), pickle.dumps(Bomb(), 5)])
def test_a_pickle_is_never_opened(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(CorruptFile, match="is a pickle, which dualsight never opens") as error:
        map_tensors(path)
    assert "weights_only=True" in error.value.hint


def test_a_header_whose_length_looks_like_a_pickle_is_read(tmp_path: Path) -> None:
    """0x280 bytes of header begin with the bytes 80 02, as pickles of protocol 2 do."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).ljust(0x280).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0\x80\x3f")
    assert torch.equal(map_tensors(path)["a"], torch.ones(1))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:5e\nsize 2464060700\n", "a Git LFS pointer"),
        (b"<html>404</html>", "not a safetensors file"),
        (b"\x08" + b"\0" * 7 + b"{nothing", "header is damaged"),
        (b"\x02" + b"\0" * 7 + b"[]", "not a safetensors file"),
        (b"\xff" * 8 + b"{", "not a safetensors file"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(CorruptFile, match=problem):
        read_header(path)


def test_overlapping_tensors_are_refused(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    header = json.dumps({"a": entry, "b": entry}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
    with pytest.raises(CorruptFile):
        map_tensors(path)


@given(st.data())
def test_a_damaged_file_loads_or_raises_corrupt_file(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(save({"a": torch.arange(3.0)}))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        map_tensors(path)
    except CorruptFile as error:
        assert str(path) in str(error)


def test_a_missing_file_is_a_checkpoint_error(tmp_path: Path) -> None:
    for read in (read_header, sha256):
        with pytest.raises(CheckpointError, match="gone"):
            read(tmp_path / "gone")


def test_floats_are_converted_and_integers_refused() -> None:
    tensor = torch.ones(2)
    assert as_floats("k", tensor, torch.float32, "f") is tensor
    assert as_floats("k", tensor.bfloat16(), torch.float32, "f").dtype == torch.float32
    with pytest.raises(CheckpointError, match="f: k holds int8"):
        as_floats("k", torch.ones(2, dtype=torch.int8), torch.float32, "f")
