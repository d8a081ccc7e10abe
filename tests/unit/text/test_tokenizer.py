"""The tokenizer against the reference's ids, against arbitrary Unicode, and against broken folders."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualsight.errors import CheckpointError, CorruptFile, TextError
from dualsight.text.tokenizer import Tokenizer
from golden import HERE, SMALL, TOKENIZER, Golden

START, END = 49406, 49407


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.packaged()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(TOKENIZER / name, tmp_path / name)
    return tmp_path


@pytest.mark.parity
def test_all_116_texts_have_the_references_ids(tokenizer: Tokenizer) -> None:
    golden = json.loads((HERE / "tokens.json").read_text())
    tokens = tokenizer(golden["texts"], pad_to=77)
    assert len(golden["texts"]) == 116
    np.testing.assert_array_equal(tokens.input_ids, golden["input_ids"])
    np.testing.assert_array_equal(tokens.attention_mask, golden["attention_mask"])


@pytest.mark.parity
@pytest.mark.parametrize("name", [*SMALL, "official-size"])
def test_prompts_of_the_golden_models(tokenizer: Tokenizer, name: str) -> None:
    golden = Golden(name)
    tokens = tokenizer(golden.inputs["prompts"], pad_to=77)
    input_ids, attention_mask = golden.tokens
    np.testing.assert_array_equal(tokens.input_ids, input_ids)
    np.testing.assert_array_equal(tokens.attention_mask, attention_mask)


def test_a_folder_gives_the_packaged_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    texts = ["x-ray chest", "café <|endoftext|>"]
    np.testing.assert_array_equal(Tokenizer.from_folder(folder)(texts).input_ids, tokenizer(texts).input_ids)


def test_by_default_a_batch_is_as_long_as_its_longest_text(tokenizer: Tokenizer) -> None:
    tokens = tokenizer(["chest", "lumbar spine", ""])
    assert tokens.input_ids.dtype == tokens.attention_mask.dtype == np.int64
    assert tokens.input_ids.shape == (3, 5)
    assert tokens.attention_mask.sum(axis=1).tolist() == [3, 5, 2]
    assert tokens.input_ids[2].tolist() == [START, END, END, END, END]


def test_a_cut_text_keeps_its_end(tokenizer: Tokenizer) -> None:
    tokens = tokenizer(["one two three four"], context_length=4)
    assert tokens.input_ids[0].tolist() == [START, *tokenizer(["one two"]).input_ids[0, 1:3], END]


def test_pieces_are_aligned_with_ids(tokenizer: Tokenizer) -> None:
    assert tokenizer.pieces("Café  T2") == ["<|startoftext|>", "cafÃ©</w>", "t</w>", "2</w>", "<|endoftext|>"]
    assert tokenizer.pieces("Café  T2", context_length=3) == ["<|startoftext|>", "cafÃ©</w>", "<|endoftext|>"]


def test_mending_stops_at_a_special_token(tokenizer: Tokenizer) -> None:
    """HTML entities are kept in a text that has a `<`, but the reference mends around special tokens."""
    assert tokenizer.pieces("&amp; <|endoftext|>")[1:-1] == ["&</w>", "<|endoftext|>"]
    assert tokenizer.pieces("&amp; <b")[1:3] == ["&</w>", "amp</w>"]


def test_a_contraction_with_a_long_s_is_one_word(tokenizer: Tokenizer) -> None:
    assert tokenizer.pieces("'ſ")[1:-1] == ["'", "Å", "¿</w>"]  # as transformers 4.46.2: no `'</w>`


def test_a_joined_surrogate_pair_is_its_character(tokenizer: Tokenizer) -> None:
    np.testing.assert_array_equal(
        tokenizer(["\ud83e\udec1 lungs"]).input_ids, tokenizer(["\U0001fac1 lungs"]).input_ids
    )


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_has_ids(tokenizer: Tokenizer, text: str) -> None:
    tokens = tokenizer([text])
    ids = tokens.input_ids[0]
    assert tokens.attention_mask.all()
    assert 2 <= len(ids) <= 77
    assert ids[0] == START and ids[-1] == END
    assert ids.min() >= 0 and ids.max() <= END
    assert len(tokenizer.pieces(text)) == len(ids)


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (["fine", None], "text 1 is a NoneType"),
        ([b"chest"], "text 0 is a bytes"),
        (["fine", "half \ud83d"], "text 1 is not valid Unicode"),
        (["\udec1\ud83e"], "text 0 is not valid Unicode"),
        ([], "no texts"),
        ("chest", "one text where a list"),
    ],
)
def test_what_is_not_text_is_refused(tokenizer: Tokenizer, texts: list[str], problem: str) -> None:
    with pytest.raises(TextError, match=problem):
        tokenizer(texts)


def test_lengths_that_cannot_be_are_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(TextError, match="context of 1 has no room"):
        tokenizer(["chest"], context_length=1)
    with pytest.raises(TextError, match="3 tokens does not fit into pad_to=2"):
        tokenizer(["chest"], pad_to=2)


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        Tokenizer.from_folder(folder)


def _vocabulary_edit(edit: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        vocabulary = json.loads((folder / "vocab.json").read_text())
        edit(vocabulary)
        (folder / "vocab.json").write_text(json.dumps(vocabulary))

    return damage


def _merges_edit(old: str, new: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        merges = (folder / "merges.txt").read_text()
        assert old in merges
        (folder / "merges.txt").write_text(merges.replace(old, new, 1))

    return damage


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda f: (f / "vocab.json").write_bytes(b'{"a": 0,'), "vocab.json: not JSON"),
        (lambda f: (f / "vocab.json").write_bytes(b"\xff\xfe"), "vocab.json: not UTF-8"),
        (lambda f: (f / "vocab.json").write_bytes(b"[" * 100_000), "vocab.json: not JSON"),
        (lambda f: (f / "vocab.json").write_bytes(b"[]"), "vocab.json: not a table"),
        (_vocabulary_edit(lambda v: v.update({"chest</w>": "a"})), "vocab.json: not a table"),
        (_vocabulary_edit(lambda v: v.update({"chest</w>": 0})), "vocab.json: the ids of 49408 tokens"),
        (_vocabulary_edit(lambda v: v.update({"<|new|>": v.pop("<|endoftext|>")})), "vocab.json: no token '<.end"),
        (_vocabulary_edit(lambda v: v.update({"<|new|>": v.pop("©</w>")})), "vocab.json: no token '.</w>'"),
        (_vocabulary_edit(lambda v: v.update({"<|new|>": len(v)})), "vocab.json: .* is not the last token"),
        (lambda f: (f / "merges.txt").write_bytes(b"\xff"), "merges.txt: not UTF-8"),
        (_merges_edit("\ni n\n", "\nin\n"), "merges.txt, line 2: 'in' does not join"),
        (_merges_edit("\nt h\n", "\nt qqq\n"), "merges.txt, line 3: 't qqq' does not join"),
        (_merges_edit("\nt h\n", "\nt h e\n"), "merges.txt, line 3: 't h e' does not join"),
    ],
)
def test_a_broken_file_is_named(folder: Path, damage: Callable[[Path], object], problem: str) -> None:
    damage(folder)
    with pytest.raises(CorruptFile, match=problem):
        Tokenizer.from_folder(folder)


def test_the_text_package_imports_lightly() -> None:
    script = "import sys, dualsight.text; print({'numpy', 'ftfy', 'tokenizers', 'torch'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
