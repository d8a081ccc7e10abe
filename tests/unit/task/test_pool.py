from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from dualsight.errors import ConfigError, UnreadableImage, UnsupportedImage
from dualsight.image.frame import FrameMeta
from dualsight.task.embed import Embedded, Failed
from dualsight.task.pool import check_pooling, pool_frames
from vectors import unit


def embedded(vector: NDArray[np.float32], index: int = 0, frame_index: int = 0, **meta: Any) -> Embedded:
    return Embedded(
        index=index, source=f"s{index}", frame_index=frame_index, n_frames=9, meta=FrameMeta(**meta), vector=vector
    )


def failed(index: int = 0, source: str = "broken") -> Failed:
    return Failed(index=index, source=source, error=UnreadableImage("truncated", source=source))


def only(stream: Iterator[Embedded | Failed]) -> Embedded:
    (result,) = stream
    assert isinstance(result, Embedded)
    return result


VECTORS = hnp.arrays(np.float32, st.tuples(st.integers(2, 9), st.just(5)), elements=st.floats(0.125, 1, width=32))


@given(vectors=VECTORS, how=st.sampled_from(["mean", "median", "max"]))
def test_each_pool_is_numpys_made_of_unit_length(vectors: NDArray[np.float32], how: Any) -> None:
    frames = [embedded(vector, frame_index=i) for i, vector in enumerate(vectors)]
    expected = getattr(np, how)(vectors.astype(np.float64), axis=0)
    result = only(pool_frames(frames, pool=how))
    np.testing.assert_allclose(result.vector, expected / np.linalg.norm(expected), atol=1e-6)
    assert result.vector.dtype == np.float32
    assert (result.frame_index, result.n_frames) == (None, len(vectors))


def test_pooling_leaves_its_frames_alone() -> None:
    frames = [embedded(unit(1, 2)), embedded(unit(2, 1))]
    before = [frame.vector.copy() for frame in frames]
    list(pool_frames(frames, pool="max"))
    assert all(np.array_equal(frame.vector, vector) for frame, vector in zip(frames, before, strict=True))


def test_one_frame_is_a_file_as_it_is_and_a_series_of_one() -> None:
    frame = embedded(unit(1, 2), frame_index=3, sop_instance_uid="1.1.1", series_instance_uid="1.1")
    assert only(pool_frames([frame])) is frame
    series = only(pool_frames([frame], per="series"))
    assert (series.frame_index, series.n_frames) == (None, 1)
    assert (series.meta.series_instance_uid, series.meta.sop_instance_uid) == ("1.1", None)
    assert np.array_equal(series.vector, frame.vector)
    assert only(pool_frames([frame], per="study")).meta.series_instance_uid is None


def test_metadata_are_what_the_frames_have_in_common() -> None:
    frames = [
        embedded(unit(1, 2), modality="CT", rows=8, series_instance_uid="1.1", sop_instance_uid="1.1.1", window="a"),
        embedded(unit(1, 3), modality="CT", rows=9, series_instance_uid="1.1", sop_instance_uid="1.1.2", window="b"),
        embedded(unit(1, 4), modality="CT", rows=8, series_instance_uid="1.1", sop_instance_uid="1.1.3", window="a"),
    ]
    meta = only(pool_frames(frames, per="series")).meta
    assert (meta.modality, meta.rows, meta.series_instance_uid, meta.sop_instance_uid) == ("CT", None, "1.1", None)
    assert meta.window == "each frame its own"
    assert only(pool_frames(frames[::2])).meta.window == "a"


def test_different_notes_are_all_told_up_to_a_few() -> None:
    notes = ["a", "b", "a", "c"]
    frames = [embedded(unit(1, 2), note=note) for note in notes]
    assert only(pool_frames(frames)).meta.note == "a; b; c"
    many = [embedded(unit(1, 2), note=f"{i}") for i in range(1000)]
    assert only(pool_frames(many)).meta.note == "0; 1; 2; 3; …"
    assert only(pool_frames([embedded(unit(1, 2))] * 2)).meta.note is None


def test_a_file_that_fails_half_way_has_failed_and_the_next_has_not() -> None:
    stream = [embedded(unit(1, 2)), embedded(unit(1, 2)), failed(), embedded(unit(1, 3), index=1)]
    bad, good = pool_frames(stream)
    assert isinstance(bad, Failed) and isinstance(good, Embedded) and good.index == 1


@pytest.mark.parametrize("per", ["series", "study"])
def test_of_a_group_each_bad_file_is_told_and_the_rest_pooled(per: Any) -> None:
    stream = [embedded(unit(1, 2), note="tilted"), failed(source="a"), failed(source="b"), embedded(unit(2, 1))]
    first, second, result = pool_frames(stream, per=per)
    assert isinstance(first, Failed) and isinstance(second, Failed) and isinstance(result, Embedded)
    assert (first.source, second.source, result.n_frames) == ("a", "b", 2)
    assert result.meta.note == "2 files left out as unreadable; tilted"
    np.testing.assert_allclose(result.vector, unit(1, 1), atol=1e-6)


def test_a_group_without_a_good_frame_has_failed() -> None:
    stream = [failed(source="a"), failed(source="b"), failed(index=1, source="alone")]
    *_, whole, alone = pool_frames(stream, per="series")
    assert isinstance(whole, Failed) and "none of the 2 files of its series" in str(whole.error)
    assert isinstance(alone, Failed) and alone.source == "alone"
    assert len(list(pool_frames(stream, per="series"))) == 4
    assert len(list(pool_frames(stream[2:]))) == 1


def test_vectors_that_cancel_out_are_an_error_and_no_vector_of_nothing() -> None:
    (result,) = pool_frames([embedded(unit(1, 0)), embedded(unit(-1, 0))])
    assert isinstance(result, Failed) and isinstance(result.error, UnsupportedImage)
    assert "mean" in str(result.error)


@pytest.mark.parametrize("how", ["mean", "max"])
def test_memory_is_one_vector_a_group(how: Any) -> None:
    def frames(n: int) -> Iterator[Embedded]:
        for i in range(n):
            yield embedded(np.full(1024, 1 / 32, np.float32), frame_index=i, sop_instance_uid=str(i), note=str(i))

    list(pool_frames(frames(10), pool=how))
    tracemalloc.start()
    list(pool_frames(frames(3_000), per="series", pool=how))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000  # 3,000 vectors are 12 MB


def test_unknown_words_are_refused() -> None:
    check_pooling("study", "max")
    with pytest.raises(ConfigError, match="per is 'patient'") as caught:
        check_pooling("patient", "max")
    assert "series" in caught.value.hint
    with pytest.raises(ConfigError, match="pool is 'sum'"):
        check_pooling("image", "sum")
