"""How well each method of explanation does on held-out phantoms, with the demonstration model.

    .venv/bin/python benchmarks/explain.py

One phantom each of patients that were never trained on, all with a finding. Each map explains the phantom's own prompt
against the same prompt without a finding. Measured are the pointing game and the overlap with the finding's mask, the
areas under the deletion and insertion curves, and how alike maps are once the encoder's weights are shuffled; beside
them a map with its hottest pixel at the centre, and random maps. Methods were chosen on the patients of `--choose`;
the figures in docs/explain.md are of the others.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dualsight.image.frame import Frame
from dualsight.image.prepare import prepare
from dualsight.learn.phantom.catalogue import HELD_OUT, Phantom, draw_many
from dualsight.task.explain.explain import METHODS, find_method, label_target
from dualsight.task.explain.faithfulness import curves, rank_correlation, with_shuffled_weights
from dualsight.task.explain.geometry import to_frame
from dualsight.task.explain.localisation import centre_prior, overlap, points_at
from dualsight.task.explain.method import Heat, Method
from dualsight.task.model import Model, load

CHOOSE, REPORT = HELD_OUT + 100_000, HELD_OUT + 200_000  # first patients of the two sets
SIZE = 224
SLOW = ("occlusion", "rise")
TOLERANCE = 0.03  # of the picture's side: the pointing game's 15 pixels of some 500 (arXiv 1608.00507)


Map = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A phantom, and what is asked about it: its pixels for the encoder [3, h, w] and a direction [D]."""

    phantom: Phantom
    pixels: NDArray[np.float32]
    direction: NDArray[np.float32]


def main() -> None:
    """Prints a row for each method and each baseline, as Markdown."""
    parser = argparse.ArgumentParser(description="Explanations against phantoms' masks.")
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--curves", type=int, default=60, help="how many get curves, and weights shuffled")
    parser.add_argument("--slow", type=int, default=60, help="pictures for the methods that take seconds a map")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--choose", action="store_true", help="the patients that choices were made on")
    arguments = parser.parse_args()
    model = load("demo")
    shuffled = with_shuffled_weights(model, seed=0)
    first = CHOOSE if arguments.choose else REPORT
    cases = [_case(model, phantom) for phantom in draw_many(first, arguments.pictures, size=SIZE, normal=0)]
    print(f"patients from {first:,} on, one phantom of {SIZE}×{SIZE} each\n")
    print("| map | phantoms | points at it | within 3 % | overlap | deletion | insertion | shuffled | s a map |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in arguments.methods.split(","):
        method = find_method(name)
        some = cases[: arguments.slow] if name in SLOW else cases
        print(_row(name, some, method, model, arguments.curves, shuffled), flush=True)
    rng = np.random.default_rng(0)
    baselines = {
        "centre": _Fixed(lambda shape: centre_prior(*shape)),
        "random": _Fixed(lambda shape: rng.random(shape)),
    }
    for name, method in baselines.items():
        print(_row(name, cases, method, model, arguments.curves, None), flush=True)


def _case(model: Model, phantom: Phantom) -> Case:
    """The phantom's own prompt against the same without a finding."""
    modality, view = phantom.modality, phantom.view
    target = label_target(model, modality.prompt(view, phantom.finding), against=modality.prompt(view, None))
    frame = Frame(pixels=phantom.pixels, source="phantom")
    return Case(phantom, prepare(frame, model.config.preprocessing), target.direction)


@dataclass(frozen=True, slots=True)
class _Fixed:
    """A map that comes from no picture."""

    make: Callable[[tuple[int, int]], NDArray[np.floating]]

    def __call__(self, model: Model, pixels: NDArray[np.float32], direction: NDArray[np.float32]) -> Heat:
        return Heat(values=self.make(pixels.shape[1:]).astype(np.float32), unit="none")


def _row(name: str, cases: Sequence[Case], method: Method, model: Model, n_curves: int, shuffled: Model | None) -> str:
    start = time.perf_counter()
    heats = [method(model, case.pixels, case.direction).values for case in cases]
    seconds = (time.perf_counter() - start) / len(cases)
    maps = [to_frame(heat, SIZE, SIZE, model.config.preprocessing) for heat in heats]
    masks = [case.phantom.mask for case in cases]
    figures = [
        np.mean([points_at(values, mask) for values, mask in zip(maps, masks, strict=True)]),
        np.mean([points_at(values, mask, within=TOLERANCE * SIZE) for values, mask in zip(maps, masks, strict=True)]),
        np.mean([overlap(values, mask) for values, mask in zip(maps, masks, strict=True)]),
    ]
    areas = []
    for case, heat in zip(cases[:n_curves], heats, strict=False):
        values = to_frame(heat, *case.pixels.shape[1:], model.config.preprocessing)
        areas.append(curves(model, case.pixels, case.direction, values))
    figures += [np.nanmedian([area.deletion for area in areas]), np.nanmedian([area.insertion for area in areas])]
    alike = "–"
    if shuffled is not None:
        others = [method(shuffled, case.pixels, case.direction).values for case in cases[:n_curves]]
        alike = f"{np.mean([rank_correlation(a, b) for a, b in zip(heats, others, strict=False)]):.2f}"
    return f"| {name} | {len(cases)} | {' | '.join(f'{figure:.3f}' for figure in figures)} | {alike} | {seconds:.2f} |"


if __name__ == "__main__":
    main()
