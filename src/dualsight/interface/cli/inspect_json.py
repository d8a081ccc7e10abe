"""A report as one JSON document: every number of the tables and walks, no picture."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from dualsight.model.cost import Cost
from dualsight.task.inspect.report import Report
from dualsight.task.inspect.table import ImageTable, StageRow, TextTable, WeightRow
from dualsight.task.inspect.walk import ImageWalk, StageWalk, TextWalk


def as_document(report: Report) -> dict[str, Any]:
    """What `json.dumps` takes. `macs` are multiply-accumulates, `flops` twice as many."""
    table = report.table
    return {
        "model": report.name,
        "notice": report.notice,
        "engine": report.engine,
        "logit_scale": report.logit_scale,
        "parameters": table.parameters,
        "image_encoder": _image_table(table.image),
        "text_encoder": None if table.text is None else _text_table(table.text),
        "projections": [_weight(row) for row in table.projections],
        "compare": [asdict(peer) for peer in report.peers],
        "weights": [_weight(row) for row in report.weights],
        "image": None if report.image is None else _image_walk(report.image),
        "texts": [_text_walk(walk) for walk in report.texts],
        "matches": [asdict(match) for match in report.matches],
    }


def _image_table(image: ImageTable) -> dict[str, Any]:
    return {
        "architecture": image.architecture,
        "image_size": image.image_size,
        "stages": [_stage(stage) for stage in image.stages],
        "head": _cost(image.head),
        **_cost(image.total),
        "padded_macs": image.padded_macs,
    }


def _stage(stage: StageRow) -> dict[str, Any]:
    parts = [{"name": part.name, **_cost(part.cost)} for part in stage.parts]
    return {**asdict(stage), "parts": parts, **_cost(stage.cost)}


def _text_table(text: TextTable) -> dict[str, Any]:
    return {**asdict(text), "macs": [{"tokens": tokens, "macs": macs} for tokens, macs in text.macs]}


def _cost(cost: Cost) -> dict[str, int]:
    return {"parameters": cost.parameters, "macs": cost.macs, "flops": cost.flops}


def _weight(row: WeightRow) -> dict[str, Any]:
    return {**asdict(row), "parameters": row.parameters}


def _image_walk(walk: ImageWalk) -> dict[str, Any]:
    return {
        "source": walk.source,
        "frame_index": walk.frame_index,
        "n_frames": walk.n_frames,
        "shown": walk.shown.shape,
        "resized": walk.resized.shape,
        "pixels": asdict(walk.pixels),
        "stages": [_stage_walk(stage) for stage in walk.stages],
        "features": walk.features.tolist(),
        "embedding": walk.embedding.tolist(),
    }


def _stage_walk(stage: StageWalk) -> dict[str, Any]:
    return {
        "stage": stage.stage,
        "grid": stage.grid,
        "embedded": asdict(stage.embedded),
        "tokens": asdict(stage.tokens),
        "explained": stage.picture.explained,
        "norm_range": stage.picture.norm_range,
    }


def _text_walk(walk: TextWalk) -> dict[str, Any]:
    return {
        "text": walk.text,
        "reading": walk.reading,
        "pieces": walk.pieces,
        "ids": walk.ids.tolist(),
        "mask": walk.mask.tolist(),
        "length": walk.length,
        "pooled": walk.pooled,
        "hidden": asdict(walk.hidden),
        "features": walk.features.tolist(),
        "embedding": walk.embedding.tolist(),
    }
