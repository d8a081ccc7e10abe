"""One picture and its texts, walked through a model: every value on the way, from pixels to probabilities.

picture → [h, w, 3] bytes → 4 stages of tokens → features → embedding ┐
text    → ids and mask    → transformer        → features → embedding ┴→ cosine → logit → probability
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import decoders
from torch import Tensor

from dualsight.errors import UnreadableImage
from dualsight.image.open import Source, read
from dualsight.image.prepare import normalise, resize
from dualsight.image.reading import Reading
from dualsight.task.classify import probabilities
from dualsight.task.inspect.picture import FeaturePicture, feature_picture
from dualsight.task.model import Model
from dualsight.task.prepared import source_name
from dualsight.text.prompts import check_labels
from dualsight.text.tokenizer import END_OF_WORD

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """A tensor in six numbers. norm: the mean length of its last axis' vectors."""

    shape: tuple[int, ...]
    mean: float
    std: float
    minimum: float
    maximum: float
    norm: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StageWalk:
    """What one stage made of the picture: tokens after its convolution, and after its blocks."""

    stage: int  # from 1
    grid: tuple[int, int]
    embedded: Statistics
    tokens: Statistics
    picture: FeaturePicture  # of the tokens after the blocks


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageWalk:
    """One picture on its way through the image encoder.

    shown: uint8 [H, W, 3], as its file is shown. resized: uint8 [h, w, 3], all that the encoder sees of it.
    features: float32 [F] before the projection. embedding: float32 [D], unit length.
    """

    source: str
    frame_index: int
    n_frames: int
    shown: NDArray[np.uint8]
    resized: NDArray[np.uint8]
    center_crop: bool  # whether `resized` is the centre alone
    pixels: Statistics  # normalised, [1, 3, h, w]
    stages: tuple[StageWalk, ...]
    features: Vector
    embedding: Vector


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TextWalk:
    """One text on its way through the text encoder.

    reading: what the tokens spell, words and marks apart: the text as the encoder meets it (cleaned,
    lower-cased, cut to the context). ids and mask fill the context; `length` tokens are not padding.
    pooled: the position, from 0, whose state stands for the text.
    """

    text: str
    reading: str
    pieces: tuple[str, ...]
    ids: NDArray[np.int64]  # [context_length]
    mask: NDArray[np.int64]  # [context_length]
    length: int
    pooled: int
    hidden: Statistics  # [1, length, C]
    features: Vector
    embedding: Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One text beside the picture: cosine, logit = exp(logit_scale) · cosine, and both probabilities of it."""

    text: str
    similarity: float
    logit: float
    softmax: float  # one of the texts is true
    sigmoid: float  # this text on its own


@torch.inference_mode()
def walk_image(model: Model, image: Source, *, reading: Reading | None = None) -> ImageWalk:
    """Every value between a picture and its embedding. Of a file with several frames, its first.

    Raises ImageError for a picture that cannot be read.
    """
    name = source_name(image, 0)
    frame = next(read(image, reading or Reading(), source=name), None)
    if frame is None:
        raise UnreadableImage("no frame in it", source=name)
    resized = resize(frame.pixels, model.config.preprocessing, source=frame.source)
    dual = model.checkpoint.model
    pixels = torch.from_numpy(normalise(resized, model.config.preprocessing))[None].to(dual.logit_scale.device)
    stages = dual.image_encoder.stages(pixels)
    features = dual.image_encoder.pool(stages[-1].tokens)  # [1, F]
    return ImageWalk(
        source=frame.source,
        frame_index=frame.frame_index,
        n_frames=frame.n_frames,
        shown=frame.pixels,
        resized=resized,
        center_crop=model.config.preprocessing.center_crop,
        pixels=statistics(pixels),
        stages=tuple(
            StageWalk(
                stage=i,
                grid=stage.grid,
                embedded=statistics(stage.embedded),
                tokens=statistics(stage.tokens),
                picture=feature_picture(stage.tokens[0].cpu().numpy(), stage.grid),
            )
            for i, stage in enumerate(stages, start=1)
        ),
        features=_vector(features),
        embedding=_vector(_unit(features @ dual.image_projection)),
    )


@torch.inference_mode()
def walk_text(model: Model, text: str) -> TextWalk:
    """Every value between a text and its embedding. Raises TextError for what is no text."""
    tokenizer, context = model.checkpoint.tokenizer, model.config.dual.text.context_length
    dual = model.checkpoint.model
    tokens = tokenizer([text], context_length=context, pad_to=context)
    length = int(tokens.attention_mask.sum())
    short = [torch.from_numpy(array[:, :length]) for array in (tokens.input_ids, tokens.attention_mask)]
    ids, mask = (tensor.to(dual.logit_scale.device) for tensor in short)
    hidden = dual.lang_encoder.hidden_states(ids, mask)  # [1, length, C]
    pooled = int(ids[0].argmax())
    features = hidden[:, pooled]  # [1, C]
    pieces = tokenizer.pieces(text, context_length=context)
    return TextWalk(
        text=text,
        reading=_reading(pieces[1:-1]),
        pieces=tuple(pieces),
        ids=tokens.input_ids[0],
        mask=tokens.attention_mask[0],
        length=length,
        pooled=pooled,
        hidden=statistics(hidden),
        features=_vector(features),
        embedding=_vector(_unit(features @ dual.lang_projection)),
    )


def match(model: Model, image: ImageWalk, texts: Sequence[TextWalk]) -> tuple[Match, ...]:
    """The picture beside each text, in the order of the texts. Raises TextError where one comes twice."""
    check_labels([walk.text for walk in texts])
    vectors = np.stack([walk.embedding for walk in texts])  # [n, D]
    cosines = vectors.astype(np.float64) @ image.embedding.astype(np.float64)  # [n]
    one = probabilities(image.embedding, vectors, model.logit_scale, multilabel=False)
    each = probabilities(image.embedding, vectors, model.logit_scale, multilabel=True)
    return tuple(
        Match(
            text=walk.text,
            similarity=float(cosine),
            logit=float(cosine) * math.exp(model.logit_scale),
            softmax=float(softmax),
            sigmoid=float(sigmoid),
        )
        for walk, cosine, softmax, sigmoid in zip(texts, cosines, one, each, strict=True)
    )


def statistics(tensor: Tensor) -> Statistics:
    """Mean, standard deviation, range, and mean length along the last axis, in float64."""
    wide = tensor.cpu().double()  # MPS has no float64
    return Statistics(
        shape=tuple(tensor.shape),
        mean=float(wide.mean()),
        std=float(wide.std(correction=0)),
        minimum=float(wide.min()),
        maximum=float(wide.max()),
        norm=float(wide.norm(dim=-1).mean()),
    )


def _unit(vectors: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vectors, dim=-1)


def _vector(row: Tensor) -> Vector:
    """[1, D] → [D]."""
    return np.asarray(row[0].float().cpu().numpy(), dtype=np.float32)


def _reading(pieces: Sequence[str]) -> str:
    """Pieces of byte-level BPE as the text they spell, a space after each end of a word."""
    spelt = "".join(piece.removesuffix(END_OF_WORD) + "Ġ" * piece.endswith(END_OF_WORD) for piece in pieces)
    return str(decoders.ByteLevel().decode([spelt])).strip()


def spelling(piece: str) -> str:
    """A piece as the letters it spells, without its end of a word; its stand-ins where it is a part of a letter."""
    spelt = str(decoders.ByteLevel().decode([piece.removesuffix(END_OF_WORD)]))
    return piece.removesuffix(END_OF_WORD) if "\ufffd" in spelt else spelt
