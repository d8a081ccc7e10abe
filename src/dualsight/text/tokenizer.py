"""Words to token ids: CLIP's byte-level BPE (Radford et al., arXiv 2103.00020).

    text ──clean──▶ lower-case, one space ──split──▶ words ──BPE──▶ ids ──frame──▶ start … end, padded

n texts, L tokens (start and end included).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Self

import ftfy
import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import AddedToken, Regex
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as Steps

from dualsight.errors import CheckpointError, CorruptFile, TextError

START = "<|startoftext|>"
END = "<|endoftext|>"
SPECIAL = re.compile(f"({re.escape(START)}|{re.escape(END)})")
END_OF_WORD = "</w>"

# English contractions, runs of letters, single digits, runs of anything else that is not a space.
# CLIP's pattern is blind to case, by which the long ſ is an s.
WORD = Regex(r"'[sſ]|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+")


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """A batch of texts as the text encoder takes them; each row is start, words, end, then padding."""

    input_ids: NDArray[np.int64]  # [n, L], padded with the end token's id
    attention_mask: NDArray[np.int64]  # [n, L], 1 at tokens, 0 at padding


class Tokenizer:
    """CLIP's tokenizer, from a vocabulary and its merges. Safe to call from many threads at once."""

    def __init__(self, vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> None:
        """`vocabulary` holds both special tokens, all 256 bytes with and without `</w>`, and every merge."""
        self.start_id = vocabulary[START]
        self.end_id = vocabulary[END]
        self.vocabulary_size = len(vocabulary)
        bpe = BPE(vocabulary, merges, end_of_word_suffix=END_OF_WORD)
        self._words = tokenizers.Tokenizer(bpe)
        self._words.pre_tokenizer = Steps(
            [Split(WORD, "removed", invert=True), ByteLevel(add_prefix_space=False, use_regex=False)]
        )
        self._words.add_special_tokens([AddedToken(special, normalized=False) for special in (START, END)])

    @classmethod
    def packaged(cls) -> Self:
        """The official tokenizer (49,408 tokens), shipped in this package."""
        return cls.from_folder(resources.files("dualsight.text") / "clip_tokenizer")

    @classmethod
    def from_folder(cls, folder: Traversable) -> Self:
        """The tokenizer whose `vocab.json` and `merges.txt` lie in `folder`.

        Raises CheckpointError if a file is missing, CorruptFile if one is not what its name says.
        """
        vocabulary = _read_vocabulary(folder / "vocab.json")
        return cls(vocabulary, _read_merges(folder / "merges.txt", vocabulary))

    def __call__(self, texts: Sequence[str], *, context_length: int = 77, pad_to: int | None = None) -> Tokens:
        """Ids and mask [n, L] of n texts, cut to `context_length` tokens with the end token kept.

        L is the batch's longest row, or `pad_to`: padding never reaches the pooled position, so the default
        gives the same embeddings for less work. The empty text is sound: start and end.
        Raises TextError if there are no texts, one is not valid Unicode text, or one is longer than `pad_to`.
        """
        if isinstance(texts, str):
            raise TextError("one text where a list of texts is needed", hint="put it in brackets: [text]")
        if len(texts) == 0:
            raise TextError("no texts to tokenize")
        room = _room(context_length)
        words = [self._words.encode(_clean(text, index)).ids[:room] for index, text in enumerate(texts)]
        rows = [[self.start_id, *ids, self.end_id] for ids in words]
        longest = max(map(len, rows))
        length = longest if pad_to is None else pad_to
        if length < longest:
            raise TextError(f"a text of {longest} tokens does not fit into pad_to={pad_to}")
        input_ids = np.full((len(rows), length), self.end_id, dtype=np.int64)  # [n, L]
        attention_mask = np.zeros_like(input_ids)  # [n, L]
        for ids, mask, row in zip(input_ids, attention_mask, rows, strict=True):
            ids[: len(row)] = row
            mask[: len(row)] = 1
        return Tokens(input_ids, attention_mask)

    def pieces(self, text: str, *, context_length: int = 77) -> list[str]:
        """The vocabulary's own spelling of each token of `text`, start and end included.

        Bytes beyond ASCII are spelt by byte-level BPE's stand-ins (`é` as `Ã©`); `</w>` ends a word.
        Raises TextError as calling does.
        """
        words = self._words.encode(_clean(text, 0)).tokens
        return [START, *words[: _room(context_length)], END]


def _room(context_length: int) -> int:
    """Places for words between the start and end tokens."""
    if context_length < 2:
        raise TextError(f"a context of {context_length} has no room for the start and end tokens")
    return context_length - 2


def check_text(text: object, index: int) -> str:
    """The text, its surrogate pairs joined. Raises TextError, which names its index, for what is no Unicode text."""
    if not isinstance(text, str):
        raise TextError(f"text {index} is a {type(text).__name__}, not a string")
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise TextError(
            f"text {index} is not valid Unicode: it holds half of a surrogate pair",
            hint="decode the bytes it came from as UTF-8",
        ) from None


def _clean(text: object, index: int) -> str:
    """Mended, lower-cased text with single spaces; special tokens written out in it stay what they are.

    Mending (ftfy) undoes mojibake, HTML entities, curly quotes and control characters, as the reference does.
    """
    parts = SPECIAL.split(check_text(text, index))  # plain, special, plain, …: each plain part is mended on its own
    parts[::2] = [" ".join(ftfy.fix_text(part).split()).lower() for part in parts[::2]]
    return "".join(parts)


def _read_vocabulary(file: Traversable) -> dict[str, int]:
    try:
        vocabulary = json.loads(_read_text(file))
    except (ValueError, RecursionError) as error:
        raise CorruptFile(f"{file.name}: not JSON ({error})") from error
    if not isinstance(vocabulary, dict) or not all(type(i) is int for i in vocabulary.values()):
        raise CorruptFile(f"{file.name}: not a table of tokens and their ids")
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise CorruptFile(f"{file.name}: the ids of {len(vocabulary)} tokens are not 0, 1, 2, …")
    letters = ByteLevel.alphabet()
    needed = [START, END, *letters, *(letter + END_OF_WORD for letter in letters)]
    for token in needed:
        if token not in vocabulary:
            raise CorruptFile(f"{file.name}: no token {token!r}", hint="is this CLIP's vocabulary?")
    if vocabulary[END] != len(vocabulary) - 1:  # texts are pooled at the largest id
        raise CorruptFile(f"{file.name}: {END} is not the last token", hint="is this CLIP's vocabulary?")
    return vocabulary


def _read_merges(file: Traversable, vocabulary: dict[str, int]) -> list[tuple[str, str]]:
    """The merges by falling priority: one pair a line, below a line that names the format's version."""
    merges: list[tuple[str, str]] = []
    for number, line in enumerate(_read_text(file).strip().split("\n")[1:], start=2):
        first, _, second = line.partition(" ")
        if not (first in vocabulary and second in vocabulary and first + second in vocabulary):
            raise CorruptFile(
                f"{file.name}, line {number}: {line[:40]!r} does not join two tokens of vocab.json to a third",
                hint="both files must come from the same tokenizer",
            )
        merges.append((first, second))
    return merges


def _read_text(file: Traversable) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise CheckpointError(
            f"{file}: cannot be read ({error.strerror})",
            hint="a tokenizer folder holds vocab.json and merges.txt",
        ) from error
    except UnicodeDecodeError as error:
        raise CorruptFile(f"{file.name}: not UTF-8 text") from error
