"""How good a model is on pairs that it is not trained on, by words alone.

Pairs with labels: each label's AUC, one against the rest, and accuracy where one label is true. Pairs with texts of
their own: how often a picture's text is among the ten that are closest to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dualsight.checkpoint.config import ModelConfig
from dualsight.image.prepare import prepare
from dualsight.learn.evaluate.retrieval import retrieval
from dualsight.learn.metrics import roc_auc
from dualsight.learn.train.data import one_frame
from dualsight.learn.train.distributed import Processes, gathered
from dualsight.learn.train.loop import attention_kernel
from dualsight.learn.train.pairs import Pair, TrainingData
from dualsight.task.classify import label_embeddings, probabilities
from dualsight.text.tokenizer import Tokenizer

AT_ONCE = 32  # pictures, or texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured; None where the pairs do not say."""

    pairs: int
    mean_auc: float | None = None  # over the labels that some pairs have and some have not
    accuracy: float | None = None
    recall_at_10: float | None = None  # of a picture's own text
    aucs: tuple[tuple[str, float], ...] = ()  # label, AUC


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedder:
    """Embeds pairs with the weights as they are; every process takes part, and has its share of the work."""

    towers: nn.Module
    config: ModelConfig
    tokenizer: Tokenizer
    processes: Processes
    window: str

    def images(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """float32 [n, D]. Raises ImageError."""
        count = self.processes.count
        own = range(self.processes.rank, -(-len(pairs) // count) * count, count)  # equally many in each
        mine = [pairs[min(number, len(pairs) - 1)] for number in own]
        rows = [self._images(mine[at : at + AT_ONCE]) for at in range(0, len(mine), AT_ONCE)]
        return np.asarray(gathered(torch.cat(rows))[: len(pairs)].cpu().numpy())

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 [n, D], by each process itself."""
        rows = [self._texts(texts[at : at + AT_ONCE]) for at in range(0, len(texts), AT_ONCE)]
        return np.asarray(torch.cat(rows).cpu().numpy())

    def _images(self, pairs: Sequence[Pair]) -> Tensor:
        pixels = np.stack([prepare(one_frame(pair, self.window), self.config.preprocessing) for pair in pairs])
        none = torch.empty(0, 1, dtype=torch.int64)
        return self._run(torch.from_numpy(pixels), none, none)[0]

    def _texts(self, texts: Sequence[str]) -> Tensor:
        tokens = self.tokenizer(texts, context_length=self.config.dual.text.context_length)
        none = torch.empty(0, 3, *self.config.dual.image_size)
        return self._run(none, torch.from_numpy(tokens.input_ids), torch.from_numpy(tokens.attention_mask))[1]

    def _run(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        device = self.processes.device
        with torch.no_grad(), attention_kernel(device):
            images, texts, scale = self.towers(*(tensor.to(device) for tensor in inputs))
        return images, texts, scale


def measure(embedder: Embedder, data: TrainingData, logit_scale: float) -> Figures:
    """Figures over `data.validation`. logit_scale: as stored, a logarithm. Raises ImageError."""
    pairs = data.validation
    images = embedder.images(pairs)
    if pairs[0].text is not None:  # whatever the pairs that are trained on have
        return Figures(pairs=len(pairs), recall_at_10=_recall(images, embedder, pairs))
    labels = label_embeddings(data.labels, data.templates, embedder.texts)
    scores = np.stack(
        [probabilities(image, labels, logit_scale, multilabel=data.is_multilabel) for image in images]
    )  # [n, labels]
    truth = np.array([[label in pair.labels for label in data.labels] for pair in pairs])
    aucs = {label: roc_auc(scores[:, i], truth[:, i]) for i, label in enumerate(data.labels)}
    known = tuple((label, auc) for label, auc in aucs.items() if not np.isnan(auc))
    right = truth[np.arange(len(pairs)), scores.argmax(1)]
    return Figures(
        pairs=len(pairs),
        mean_auc=float(np.mean([auc for _, auc in known])) if known else None,
        accuracy=None if data.is_multilabel else float(right.mean()),
        aucs=known,
    )


def _recall(images: NDArray[np.float32], embedder: Embedder, pairs: Sequence[Pair]) -> float:
    texts = list(dict.fromkeys(pair.text or "" for pair in pairs))
    number = {text: i for i, text in enumerate(texts)}
    found = retrieval(images, embedder.texts(texts), [number[pair.text or ""] for pair in pairs])
    return found.image_to_text[found.ks.index(10)]
