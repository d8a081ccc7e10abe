"""An adapter ⇄ one safetensors file: arrays by name, and in the header everything else as JSON.

{"adapter": '{"version": 1, "kind": …, "labels": […], "fingerprint": …, "settings": {…}, "thresholds": {…}}'}
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from dualsight.checkpoint.weights import read_header
from dualsight.errors import AdapterError, CheckpointError, OutputError
from dualsight.learn.adapt.adapter import HEADS, Adapter
from dualsight.learn.adapt.head import Head
from dualsight.learn.adapt.thresholds import Thresholds

VERSION = 1
ENTRY = "adapter"
_KEYS = {"version", "kind", "labels", "is_multilabel", "model", "fingerprint", "settings", "thresholds"}
_AGAIN = "train it again with `dualsight adapt train`"


def save_adapter(adapter: Adapter, path: Path) -> None:
    """Writes the file whole or not at all; the same adapter gives the same bytes. Raises OutputError."""
    arrays = {  # in C order: the library writes memory as it lies
        name: np.asarray(getattr(adapter.head, name), np.float64, order="C") for name in adapter.head.STATE
    }
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(save(arrays, metadata={ENTRY: json.dumps(_describe(adapter), ensure_ascii=False)}))
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        with suppress(OSError):  # what went wrong is told already
            part.unlink(missing_ok=True)


def load_adapter(path: str | Path) -> Adapter:
    """The adapter in a file that `save_adapter` wrote.

    Raises AdapterError for anything else: no such file, damaged, another version, arrays that do not fit each other.
    """
    path = Path(path)
    try:
        shapes = {name: info.shape for name, info in read_header(path).items()}
        with safe_open(path, framework="numpy") as file:
            entry = (file.metadata() or {}).get(ENTRY)
            arrays = {name: file.get_tensor(name) for name in shapes}
    except CheckpointError as error:
        raise AdapterError(str(error), hint=_AGAIN) from error
    except SafetensorError as error:
        raise AdapterError(f"{path}: damaged ({error})", hint=_AGAIN) from error
    if entry is None:
        raise AdapterError(f"{path}: a safetensors file, and no adapter", hint=_AGAIN)
    try:
        return _parse(json.loads(entry), arrays)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise AdapterError(f"{path}: no adapter that this release reads: {error}", hint=_AGAIN) from error


def _describe(adapter: Adapter) -> dict[str, Any]:
    settings = adapter.head.get_params()
    return {
        "version": VERSION,
        "kind": adapter.kind,
        "labels": list(adapter.labels),
        "is_multilabel": adapter.is_multilabel,
        "model": adapter.model,
        "fingerprint": adapter.fingerprint,
        "settings": {name: value for name, value in settings.items() if not isinstance(value, np.ndarray)},
        "thresholds": {
            label: {"youden": cuts.youden, "sens90": cuts.sens90} for label, cuts in adapter.thresholds.items()
        },
    }


def _parse(entry: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Adapter:
    """Raises ValueError, TypeError, KeyError or AttributeError, with what is wrong, for anything but `_describe`'s."""
    if entry.get("version") != VERSION:
        raise ValueError(f"version {entry.get('version')!r}, and {VERSION} is known")
    if entry.keys() != _KEYS:
        raise ValueError(f"entries {sorted(entry.keys() ^ _KEYS)} are missing or unknown")
    if entry["kind"] not in HEADS:
        raise ValueError(f"kind {entry['kind']!r}, and {', '.join(HEADS)} are known")
    labels = entry["labels"]
    if not (isinstance(labels, list) and labels and all(isinstance(label, str) for label in labels)):
        raise ValueError("labels are no list of texts")
    if len(set(labels)) < len(labels):
        raise ValueError("a label comes twice")
    for name in ("model", "fingerprint"):
        if not isinstance(entry[name], str):
            raise TypeError(f"{name} is no text")
    thresholds = {label: Thresholds(**cuts) for label, cuts in entry["thresholds"].items()}
    numbers = [number for cuts in thresholds.values() for number in (cuts.youden, cuts.sens90)]
    if not (thresholds.keys() <= set(labels) and all(isinstance(number, float) for number in numbers)):
        raise ValueError("thresholds are no numbers of the labels")
    return Adapter(
        kind=entry["kind"],
        head=_head(entry, arrays),
        labels=tuple(labels),
        model=entry["model"],
        fingerprint=entry["fingerprint"],
        thresholds=thresholds,
    )


def _head(entry: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Head:
    """The fitted estimator. Raises ValueError or TypeError for arrays that are not its own."""
    made = HEADS[entry["kind"]]
    sizes = _check_arrays(made, arrays, len(entry["labels"]))
    given = {name: arrays[f"{name}_"] for name in ("label_vectors",) if f"{name}_" in arrays}
    head = made(**entry["settings"], **given)
    for name, array in arrays.items():
        setattr(head, name, array)
    head.classes_ = np.arange(sizes["k"])
    head.is_multilabel_ = bool(entry["is_multilabel"])
    head.n_features_in_ = sizes["D"]
    head.predict_proba(np.zeros((1, sizes["D"])))  # fails now, where settings are not such as it can use
    return head


def _check_arrays(made: type[Head], arrays: dict[str, NDArray[Any]], k: int) -> dict[str, int]:
    """Sizes by letter of `Head.STATE`. Raises ValueError unless the arrays are those that it names."""
    if arrays.keys() != made.STATE.keys():
        raise ValueError(f"arrays {sorted(arrays.keys() ^ made.STATE.keys())} are missing or unknown")
    sizes = {"k": k}
    for name, letters in made.STATE.items():
        array = arrays[name]
        if array.dtype != np.float64 or not np.isfinite(array).all():
            raise ValueError(f"{name} is not of finite 64-bit numbers")
        expected = tuple(sizes.setdefault(letter, size) for letter, size in zip(letters, array.shape, strict=False))
        if len(letters) != array.ndim or array.shape != expected:
            raise ValueError(f"{name} is {list(array.shape)}, which does not fit the other arrays")
    return sizes
