"""What bfloat16 and int8 cost in accuracy: each picture's cosine to float32, and zero-shot on phantoms.

    .venv/bin/python benchmarks/precisions.py [--model demo] [--int8 FOLDER] [--phantoms 3000]

FOLDER is what `dualsight quantize MODEL -o FOLDER` wrote. Pictures are phantoms of patients that were neither trained
nor calibrated on, and the real pictures of tests/data/images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import dualsight
from dualsight.image.source import Item, scan
from dualsight.learn.phantom.catalogue import HELD_OUT, draw_many
from dualsight.learn.zero_shot import measure, show
from dualsight.task.model import Model

IMAGES = Path(__file__).parents[1] / "tests/data/images"


def main() -> None:
    """A line for each engine and set of pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--int8")
    parser.add_argument("--phantoms", type=int, default=3000)
    asked = parser.parse_args()
    exact = dualsight.load(asked.model, engine="torch", precision="float32")
    others = [dualsight.load(asked.model, engine=engine, precision="bfloat16") for engine in ("openvino", "torch")]
    if asked.int8:
        others.append(dualsight.load(asked.int8))
    real = [item for item in scan([str(IMAGES)]) if isinstance(item, Item)]
    phantoms = {model: show(model, draw_many(HELD_OUT, asked.phantoms, size=256)) for model in (exact, *others)}
    aucs = {model: measure(model, shown).mean_auc for model, shown in phantoms.items()}
    print(f"{exact.engine.name}: zero-shot AUC {aucs[exact]:.4f}")
    on_real = frames(exact, real)
    for model in others:
        print(f"{model.engine.name}: zero-shot AUC {aucs[model]:.4f}")
        print(f"  {asked.phantoms} phantoms: {spread(phantoms[model].vectors, phantoms[exact].vectors)}")
        print(f"  {len(on_real)} frames of {len(real)} real files: {spread(frames(model, real), on_real)}")


def frames(model: Model, items: list[Item]) -> NDArray[np.float32]:
    """[n, D] of every frame that can be read."""
    return model.encode_image(items, per="frame", on_error="skip")


def spread(vectors: NDArray[np.float32], exact: NDArray[np.float32]) -> str:
    """The least cosine, that of one in a hundred, and the median."""
    cosines = (vectors.astype(np.float64) * exact).sum(1)
    return (
        f"least cosine {cosines.min():.5f}, 1 % below {np.quantile(cosines, 0.01):.5f}, median {np.median(cosines):.6f}"
    )


if __name__ == "__main__":
    main()
