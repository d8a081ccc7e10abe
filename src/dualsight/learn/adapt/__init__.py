"""Heads on frozen embeddings: scikit-learn estimators, and adapters, which are heads with their labels, as files."""

from __future__ import annotations

from importlib.util import find_spec

from dualsight.errors import MissingExtra

if find_spec("sklearn") is None:
    raise MissingExtra("adapters need scikit-learn", hint="pip install 'dualsight[learn]'")

from dualsight.learn.adapt.adapter import Adapter, Prediction
from dualsight.learn.adapt.file import load_adapter, save_adapter
from dualsight.learn.adapt.linear import LinearProbe
from dualsight.learn.adapt.mlp import MlpAdapter
from dualsight.learn.adapt.nearest import KNearest
from dualsight.learn.adapt.prompts import PromptEnsemble
from dualsight.learn.adapt.tip import TipAdapter
from dualsight.learn.adapt.train import HeldOut, Trained, train_adapter

__all__ = [
    "Adapter",
    "HeldOut",
    "KNearest",
    "LinearProbe",
    "MlpAdapter",
    "Prediction",
    "PromptEnsemble",
    "TipAdapter",
    "Trained",
    "load_adapter",
    "save_adapter",
    "train_adapter",
]
