"""MLP adapter: one hidden layer on embeddings.

embedding [D] ──▶ hidden [h] ──GELU──▶ logits [k]
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from torch import Tensor

from dualsight.learn.adapt.head import Floats, Head, Targets, squash, standard


class MlpAdapter(Head):
    """One hidden layer, trained by AdamW on cross-entropy, or on binary cross-entropy where several labels may be true.

    random_state: of the first weights and of the order of examples; the same seed gives the same weights.
    """

    STATE: ClassVar = {"hidden_weight_": "hD", "hidden_bias_": "h", "out_weight_": "kh", "out_bias_": "k"}

    def __init__(
        self,
        hidden: int = 128,
        epochs: int = 40,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.05,
        random_state: int = 0,
    ) -> None:
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.random_state = random_state

    def features(self, vectors: NDArray[np.floating]) -> Floats:
        """float64 [n, hidden] of embeddings [n, D]: what stands before the logits; near means alike to the labels."""
        arrays = (np.asarray(vectors, np.float64), self.hidden_weight_, self.hidden_bias_)
        return F.gelu(F.linear(*(torch.from_numpy(array) for array in arrays))).numpy()

    def _learn(self, vectors: Floats, targets: Targets) -> None:
        mean, deviation = standard(vectors)
        scaled = torch.from_numpy((vectors - mean) / deviation).float()
        layers = self._train(scaled, targets)
        weight, bias, out_weight, out_bias = (layer.detach().numpy().astype(np.float64) for layer in layers)
        self.hidden_weight_ = weight / deviation  # the scaling becomes part of the weights
        self.hidden_bias_ = bias - self.hidden_weight_ @ mean
        self.out_weight_, self.out_bias_ = out_weight, out_bias

    def _train(self, vectors: Tensor, targets: Targets) -> list[Tensor]:
        """Weights [h, D], [h], [k, h], [k], fitted to vectors [n, D] of unit variance."""
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        generator = torch.Generator().manual_seed(int(seed))
        truth = torch.from_numpy(targets.indicator).float()  # [n, k]
        loss = F.binary_cross_entropy_with_logits if targets.is_multilabel else F.cross_entropy
        layers = [
            *_first_weights(vectors.shape[1], self.hidden, generator),
            *_first_weights(self.hidden, truth.shape[1], generator),
        ]
        optimizer = torch.optim.AdamW(layers, lr=self.learning_rate, weight_decay=self.weight_decay)
        for _ in range(self.epochs):
            for rows in torch.randperm(len(vectors), generator=generator).split(self.batch_size):
                optimizer.zero_grad()
                loss(_logits(vectors[rows], *layers), truth[rows]).backward()
                optimizer.step()
        return layers

    def _probabilities(self, vectors: Floats) -> Floats:
        arrays = (vectors, self.hidden_weight_, self.hidden_bias_, self.out_weight_, self.out_bias_)
        logits = _logits(*(torch.from_numpy(array) for array in arrays))
        return squash(logits.numpy(), self.is_multilabel_)


def _logits(vectors: Tensor, weight: Tensor, bias: Tensor, out_weight: Tensor, out_bias: Tensor) -> Tensor:
    """[n, D] → [n, k]."""
    return F.linear(F.gelu(F.linear(vectors, weight, bias)), out_weight, out_bias)


def _first_weights(inputs: int, outputs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Uniform in ±1/√inputs, as torch's own linear layers begin."""
    bound = inputs**-0.5
    weight = torch.empty(outputs, inputs).uniform_(-bound, bound, generator=generator)
    bias = torch.empty(outputs).uniform_(-bound, bound, generator=generator)
    return weight.requires_grad_(), bias.requires_grad_()
