"""Is this checkpoint what it says, and does it compute here what it computed elsewhere?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dualsight.checkpoint.hub import OFFICIAL_SHA256, OFFICIAL_SIZE, resolve
from dualsight.checkpoint.layout import Layout, locate
from dualsight.checkpoint.load import Checkpoint, load_checkpoint
from dualsight.checkpoint.weights import read_header, sha256
from dualsight.errors import DualsightError
from dualsight.image.open import open as open_image
from dualsight.image.prepare import prepare
from dualsight.text.tokenizer import Tokenizer

NUMBERS = 1e-3
"""How far a number of an embedding may lie from the published one: those came from another device and precision."""
COSINES = 2e-3
"""The same for cosines, and for how far a whole embedding's cosine with the published one may lie from 1."""

_TOKENS = {
    "x-ray chest anteroposterior Pneumonia": (49406, 343, 268, 3077, 10563, 514, 20727, 22881, 2498, 42906, 49407),
    "mri brain axial t2": (49406, 24773, 4812, 46550, 339, 273, 49407),
}


@dataclass(frozen=True, slots=True)
class Check:
    """One question and its answer."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """All answers about one checkpoint."""

    name: str
    official: bool  # the weight file is the published one, to the byte
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)


@dataclass(frozen=True, slots=True)
class Published:
    """What the official weights returned elsewhere (spec of the model, section 8; Microsoft's own deployment)."""

    size: int  # of the weight file, in bytes
    sha256: str
    logit_scale: float
    texts: dict[str, dict[str, list[float]]]  # the first and last numbers of an embedding
    cosines: list[tuple[str, str, float]]
    pair_text: str
    text_embedding: NDArray[np.float64]  # [1024], of pair_text
    image_name: str
    image_embedding: NDArray[np.float64]  # [1024]


@cache
def published() -> Published:
    """The figures shipped in this package."""
    facts = json.loads((resources.files("dualsight.checkpoint") / "published.json").read_text(encoding="utf-8"))
    pair = facts["pair"]
    return Published(
        size=OFFICIAL_SIZE,
        sha256=OFFICIAL_SHA256,
        logit_scale=facts["logit_scale"],
        texts=facts["texts"],
        cosines=[tuple(row) for row in facts["cosines"]],
        pair_text=pair["text"],
        text_embedding=np.array(pair["text_features"]),
        image_name=pair["image"].split(",")[0],
        image_embedding=np.array(pair["image_features"]),
    )


def verify(where: str | Path, image: Path | None = None) -> Report:
    """Hash, key table, tokenizer, finite weights and determinism of a checkpoint; of the official weights also the
    published embeddings. `image`: the published chest X-ray, for those who have it.

    A problem is a failed check in the report. Raises CheckpointError only where there is no checkpoint at all.
    """
    path, name = resolve(where)
    layout = locate(path)
    facts = published()
    try:
        digest = sha256(layout.weights)
    except DualsightError as error:
        return Report(name, False, (Check("weight file", False, str(error)),))
    official = digest == facts.sha256
    checks = [_file_check(layout, digest, facts)]
    try:
        checks.append(_header_check(layout))
        checkpoint = load_checkpoint(path)
    except DualsightError as error:
        return Report(name, official, (*checks, Check("key table", False, str(error))))
    parameters = sum(parameter.numel() for parameter in checkpoint.model.parameters())
    checks.append(Check("key table", True, f"every tensor is there, in its shape: {parameters:,} parameters"))
    checks += [_tokenizer_check(checkpoint.tokenizer), _finite_check(checkpoint), _determinism_check(checkpoint)]
    if official:
        checks += _published_checks(checkpoint, facts)
    if image is not None:
        checks.append(_image_check(checkpoint, facts, image, official))
    return Report(name, official, tuple(checks))


def _file_check(layout: Layout, digest: str, facts: Published) -> Check:
    size = layout.weights.stat().st_size
    if digest == facts.sha256:
        return Check("weight file", True, f"the official weights: {size:,} bytes, sha256 {digest}")
    if size == facts.size and layout.weights.suffix == ".pt":
        note = "the official file's size, but not its hash: fine-tuned weights, or a damaged copy"
    else:
        note = "not the official file, which is no fault in itself"
    return Check("weight file", True, f"{size:,} bytes, sha256 {digest}; {note}")


def _header_check(layout: Layout) -> Check:
    header = read_header(layout.weights)
    types = ", ".join(sorted({info.dtype for info in header.values()}))
    return Check("header", True, f"safetensors, whole: {len(header)} tensors of {types}")


def _tokenizer_check(tokenizer: Tokenizer) -> Check:
    for text, expected in _TOKENS.items():
        ids = tuple(tokenizer([text]).input_ids[0].tolist())
        if ids != expected:
            return Check("tokenizer", False, f"{text!r} gives {list(ids)}, not {list(expected)}")
    return Check("tokenizer", True, f"{len(_TOKENS)} texts give the ids that CLIP's tokenizer gives")


def _finite_check(checkpoint: Checkpoint) -> Check:
    bad = [key for key, tensor in checkpoint.model.state_dict().items() if not bool(torch.isfinite(tensor).all())]
    if bad:
        return Check("finite weights", False, f"{len(bad)} tensors hold NaN or infinity: {', '.join(bad[:3])}")
    return Check("finite weights", True, "no NaN, no infinity")


def _determinism_check(checkpoint: Checkpoint) -> Check:
    size = checkpoint.config.preprocessing
    pixels = torch.randn(1, 3, size.height, size.width, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        once, again = checkpoint.model.encode_image(pixels), checkpoint.model.encode_image(pixels)
    texts = list(_TOKENS)
    same = torch.equal(once, again) and np.array_equal(
        _encode_texts(checkpoint, texts), _encode_texts(checkpoint, texts)
    )
    return Check("determinism", same, "twice the same input gives " + ("the same bits" if same else "different bits"))


def _published_checks(checkpoint: Checkpoint, facts: Published) -> Iterator[Check]:
    """The official weights' own figures."""
    scale = float(checkpoint.model.logit_scale.detach())
    yield Check("logit scale", abs(scale - facts.logit_scale) < 1e-5, f"{scale:.6f}, published {facts.logit_scale}")
    texts = list(facts.texts)
    rows = dict(zip(texts, _encode_texts(checkpoint, texts), strict=True))
    for text, ends in facts.texts.items():
        ours, theirs = _ends(rows[text], ends), np.array([*ends["first"], *ends["last"]])
        yield _close(f"text {text!r}", float(np.abs(ours - theirs).max()), NUMBERS, "numbers")
    for one, other, cosine in facts.cosines:
        difference = abs(float(rows[one] @ rows[other]) - cosine)
        yield _close(f"cosine {one!r}, {other!r}", difference, COSINES, "cosine")
    (embedding,) = _encode_texts(checkpoint, [facts.pair_text])
    yield _close(f"text {facts.pair_text!r}", 1 - float(embedding @ facts.text_embedding), COSINES, "cosine")


def _image_check(checkpoint: Checkpoint, facts: Published, image: Path, official: bool) -> Check:
    """The published chest X-ray's embedding."""
    name = f"image {facts.image_name}"
    if not official:
        return Check(name, False, "only the official weights have a published embedding to compare with")
    try:
        frame = next(iter(open_image(image)))
        pixels = torch.from_numpy(prepare(frame, checkpoint.config.preprocessing))[None]
    except DualsightError as error:
        return Check(name, False, str(error))
    with torch.inference_mode():
        embedding = checkpoint.model.encode_image(pixels)[0].numpy()
    return _close(name, 1 - float(embedding @ facts.image_embedding), COSINES, "cosine")


def _encode_texts(checkpoint: Checkpoint, texts: list[str]) -> NDArray[np.float32]:
    """Embeddings [n, D] of n texts, of unit length, on the CPU."""
    tokens = checkpoint.tokenizer(texts, context_length=checkpoint.config.dual.text.context_length)
    with torch.inference_mode():
        rows = checkpoint.model.encode_text(torch.from_numpy(tokens.input_ids), torch.from_numpy(tokens.attention_mask))
    return np.asarray(rows.numpy(), dtype=np.float32)


def _ends(row: NDArray[Any], ends: dict[str, list[float]]) -> NDArray[Any]:
    return np.concatenate([row[: len(ends["first"])], row[len(row) - len(ends["last"]) :]])


def _close(name: str, difference: float, tolerance: float, what: str) -> Check:
    detail = f"{what} as published within {abs(difference):.1e} (at most {tolerance:.0e} allowed)"
    return Check(name, abs(difference) <= tolerance, detail)
