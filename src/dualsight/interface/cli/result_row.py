"""Where a result comes from, in the words that every form of output uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dualsight.interface.cli.stderr import waiting

if TYPE_CHECKING:
    from dualsight.task.classify import Classification
    from dualsight.task.embed import Embedded
    from dualsight.task.model import Model

INTEGERS = ("frame_index", "n_frames", "tile_x", "tile_y")
TEXTS = ("source", "study_instance_uid", "series_instance_uid", "sop_instance_uid", "window", "note")
COLUMNS = ("source", *INTEGERS, *TEXTS[1:])


def describe_origin(result: Embedded | Classification) -> dict[str, str | int | None]:
    """COLUMNS of one result; None where its file says nothing, or where it stands for what differs in it."""
    meta = result.meta
    tile_x, tile_y = meta.tile_origin or (None, None)
    return {
        "source": result.source,
        "frame_index": result.frame_index,
        "n_frames": result.n_frames,
        "tile_x": tile_x,
        "tile_y": tile_y,
        "study_instance_uid": meta.study_instance_uid,
        "series_instance_uid": meta.series_instance_uid,
        "sop_instance_uid": meta.sop_instance_uid,
        "window": meta.window,
        "note": meta.note,
    }


def model_origin(model: Model) -> dict[str, str]:
    """Which model made the vectors: only those of one fingerprint may be compared."""
    with waiting("computing the model's fingerprint"):
        return {"model": model.name, "fingerprint": model.fingerprint, "notice": model.notice}
