"""A map's page: the points that are in it, and that no word of a row becomes markup."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from dualsight.store.clusters import Clusters
from dualsight.store.map_page import THUMBNAIL_PX, map_page
from dualsight.store.settings import Settings


@pytest.fixture
def found(tmp_path: Path) -> Clusters:
    """Two rows: a grey picture, and one that is not at hand and has words in it that are no markup."""
    Image.new("RGB", (200, 100), (120, 120, 120)).save(tmp_path / "a.png")
    columns: dict[str, list[Any]] = {
        "source": ["a.png", "</script><b>"],
        "path": [str(tmp_path / "a.png"), None],
        "settings": [Settings().as_json()] * 2,
        "frame_index": [0, None],
        "n_frames": [1, 5],
        "modality": ["CT", None],
        "body_part": [None, None],
        "view": ["AP", None],
        "age": [70, None],
        "side": ["left", "<b>"],
    }
    xy = np.array([[0.123456, 1.0], [0.0, 0.5]])
    return Clusters(rows=pa.table(columns), labels=np.array([1, 0]), xy=xy, layout="pca", n_rows=1_234)


def points(page: str) -> list[dict[str, Any]]:
    line = next(line for line in page.splitlines() if line.startswith("const points = "))
    return list(json.loads(line.removeprefix("const points = ").removesuffix(";")))


def test_the_points(found: Clusters) -> None:
    first, second = points(map_page(found, title="t"))
    assert (first["x"], first["y"], first["group"]) == (0.1235, 1.0, "cluster 1")
    assert first["words"] == [
        "a.png",
        "cluster 1",
        "modality: CT",
        "view: AP",
        "frame_index: 0",
        "age: 70",
        "side: left",
    ]
    assert second == {
        "x": 0.0,
        "y": 0.5,
        "group": "cluster 0",
        "words": ["</script><b>", "cluster 0", "side: <b>"],
        "picture": "",
    }


def test_a_points_picture_is_a_small_jpeg(found: Clusters) -> None:
    data = points(map_page(found, title="t"))[0]["picture"]
    head, _, code = data.partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(code))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (THUMBNAIL_PX, THUMBNAIL_PX // 2))
        assert np.abs(np.asarray(picture).astype(int) - 120).max() < 4


def test_a_column_may_colour_the_points(found: Clusters) -> None:
    assert [point["group"] for point in points(map_page(found, title="t", colour="age"))] == ["70", "None"]
    with pytest.raises(KeyError):
        map_page(found, title="t", colour="weight")


def test_words_are_words(found: Clusters) -> None:
    page = map_page(found, title="<t>", notice="a <notice>")
    assert page.count("</script>") == 1 and "<b>" not in page
    assert page.count("<title>&lt;t&gt; – dualsight</title>") == 1 and page.count("a &lt;notice&gt;") == 1
    assert page.count("2 of 1,234 rows, PCA of their vectors") == 2
    assert not any(f"@{name}@" in page for name in ("TITLE", "SCOPE", "NOTICE", "POINTS"))
