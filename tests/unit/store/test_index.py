"""An index: what is added, found, refused, dropped and brought back."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import dualsight
from dualsight.errors import FilterError, StoreError
from dualsight.image.deidentify import hashed_name
from dualsight.store import duplicates, lance
from dualsight.store.contact_sheet import contact_sheet
from dualsight.store.index import Index
from dualsight.store.map_page import map_page
from dualsight.store.query import Query
from dualsight.store.rows import as_vectors
from dualsight.store.schema import VECTOR, About, table_schema
from dualsight.store.search import Approximate
from dualsight.store.settings import Settings
from dualsight.task.model import Model
from index_tables import write_table
from picture_files import write_frames

SAMPLES = Path(__file__).parents[3] / "samples"
KEY = b"0123456789abcdef"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four small pictures, one of three frames, one broken, and a manifest of them."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), np.uint8)).save(folder / f"{name}.png")
    shutil.copy(folder / "a.png", folder / "copy of a.png")
    write_frames(folder / "frames.tif", [rng.integers(0, 255, (40, 40), np.uint8) for _ in range(3)])
    (folder / "broken.png").write_bytes((folder / "b.png").read_bytes()[:60])
    with (folder / "list.csv").open("w", newline="") as file:
        rows = [("a.png", "XR", "70", "0071", ""), ("b.png", "CT", "35", "0035", "0.5"), ("c.png", "", "", "0071", "1")]
        csv.writer(file).writerows([("path", "modality", "age", "patient", "dose"), *rows])
    return folder


@pytest.fixture(scope="module")
def filled(model: Model, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Index:
    """An index of the manifest's pictures, of the frames and their volume, and of two texts. Read only."""
    index = Index.open(tmp_path_factory.mktemp("filled") / "db", model=model)
    index.add(pictures / "list.csv")
    index.add(pictures / "frames.tif", settings=Settings(per="volume"), texts=["x-ray chest", "mri brain"])
    return index


def test_what_is_there_is_not_embedded_again(model: Model, pictures: Path, tmp_path: Path) -> None:
    index = Index.open(tmp_path / "db", model=model)
    first = index.add(pictures)
    assert (first.n_added, first.n_rows, first.n_present) == (4, 4, 1)  # a copy is the same picture
    assert [failed.source for failed in first.failed] == [str(pictures / "broken.png")]
    version = index.info().version
    second = index.add(pictures)
    assert (second.n_added, second.n_present, len(index)) == (0, 5, 4)
    assert index.info().version == version
    assert index.add(pictures / "frames.tif", settings=Settings(per="frame")).n_rows == 3  # other settings


def test_columns_and_types(filled: Index) -> None:
    rows = filled.search(query=Query(vector=np.ones(128, np.float32)), where="kind = 'image'", k=9).to_arrow()
    assert rows.schema.field("age").type == pa.int64()
    assert rows.schema.field("patient").type == pa.string()  # 0071 is a name
    by_source = {row["source"]: row for row in rows.to_pylist()}
    assert (by_source["b.png"]["modality"], by_source["b.png"]["age"], by_source["b.png"]["dose"]) == ("CT", 35, 0.5)
    assert by_source["c.png"]["modality"] is None
    assert Path(by_source["a.png"]["path"]).is_absolute()


def test_the_vectors_are_the_models(filled: Index, model: Model, pictures: Path) -> None:
    table = pa.Table.from_batches(filled.batches())
    assert table.schema.metadata[b"dualsight.fingerprint"].decode() == model.fingerprint
    place = table["source"].to_pylist().index("b.png")
    expected = model.encode_image([pictures / "b.png"])[0]
    np.testing.assert_allclose(as_vectors(table[VECTOR])[place], expected, atol=1e-5)


def test_a_picture_finds_itself_and_scores_are_cosines(filled: Index, model: Model, pictures: Path) -> None:
    hits = filled.search(query=Query(images=(pictures / "c.png",)), k=3)
    assert hits.column("source")[0] == "c.png"
    vectors = model.encode_image([pictures / "c.png", pictures / hits.column("source")[1]])
    assert hits.scores[0] == pytest.approx(1, abs=1e-5)
    assert hits.scores[1] == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-5)
    assert hits.scores == sorted(hits.scores, reverse=True)
    assert hits.is_exact and hits.n_rows == 9


def test_volume_and_its_slices(filled: Index, pictures: Path) -> None:
    whole = filled.search(query=Query(volumes=(pictures / "frames.tif",)))
    assert whole.column("kind") == ["volume"] and whole.scores[0] == pytest.approx(1, abs=1e-5)
    frame = next(iter(dualsight.image.open(pictures / "frames.tif")))
    where = filled.search(query=Query(images=(frame,)), where="kind = 'frame'", per="volume")
    assert where.column("frame_index") == [0] and len(where) == 1


def test_one_hit_of_each(filled: Index) -> None:
    one = Query(vector=np.ones(128, np.float32))
    assert len(filled.search(query=one, where="kind = 'image'", per="patient")) == 2
    assert len(filled.search(query=one, where="kind = 'image'", per="patient", k=1)) == 1
    assert len(filled.search(query=one, where="kind = 'image'", per="modality")) == 3  # none is its own
    with pytest.raises(StoreError, match="no column surname"):
        filled.search(query=one, per="surname")


def test_texts_are_found_only_when_asked_for(filled: Index) -> None:
    assert "text" not in filled.search("x-ray chest", k=20).column("kind")
    assert filled.search("x-ray chest", where="kind = 'text'").column("text") == ["x-ray chest", "mri brain"]


def test_a_query_is_a_weighted_sum(filled: Index, model: Model, pictures: Path) -> None:
    query = Query(texts=("mri",), images=(pictures / "a.png",), unlike=("ct",), text_weight=2, unlike_weight=0.25)
    text, unlike = model.encode_text(["mri", "ct"])
    vector = 2 * text + model.encode_image([pictures / "a.png"])[0] - 0.25 * unlike
    expected = filled.search(query=Query(vector=vector))
    got = filled.search(query=query)
    assert got.column("id") == expected.column("id")
    np.testing.assert_allclose(got.scores, expected.scores, atol=1e-5)


def test_queries_that_cannot_be_meant(filled: Index) -> None:
    with pytest.raises(StoreError, match="nothing to look for"):
        Query(unlike=("ct",))
    with pytest.raises(StoreError, match="cancel out"):
        filled.search(query=Query(texts=("ct",), unlike=("ct",), unlike_weight=1))
    with pytest.raises(FilterError):
        filled.search("ct", where="modality = 'CT' or 1=1")
    with pytest.raises(StoreError, match="0 hits"):
        filled.search("ct", k=0)


def test_another_model_is_refused_by_name(filled: Index, tmp_path: Path) -> None:
    about = About(model="somebody's", fingerprint="f" * 64, dimensions=128)
    with lance.writing(tmp_path):
        lance.create_table(tmp_path, table_schema(about, {}))
    with pytest.raises(StoreError, match="somebody's"):
        Index.open(tmp_path).search("ct")
    with pytest.raises(StoreError, match="somebody's"):
        Index.open(tmp_path).add(SAMPLES)


def test_pruned_and_restored(model: Model, pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        shutil.copy(pictures / name, folder / name)
    index = Index.open(tmp_path / "db", model=model)
    index.add(folder, texts=["a text stays"])
    version = index.info().version
    (folder / "a.png").unlink()
    assert index.add(folder, prune=True).n_pruned == 1
    assert len(index) == 2
    index.restore(version)
    assert len(index) == 3
    (folder / "b.png").unlink()
    with pytest.raises(StoreError, match="nothing is pruned"):
        index.add(folder, prune=True)
    assert len(index) == 3


def test_deidentified(model: Model, pictures: Path, tmp_path: Path) -> None:
    index = Index.open(tmp_path / "db", model=model)
    report = index.add([pictures / "list.csv", pictures / "broken.png", SAMPLES / "real/ct-head.dcm"], key=KEY)
    assert [failed.source for failed in report.failed] == [hashed_name(str(pictures / "broken.png"), KEY)]
    rows = pa.Table.from_batches(index.batches()).to_pylist()
    assert rows[0]["source"] == hashed_name("a.png", KEY)
    assert {row["path"] for row in rows} == {None} and "patient" not in rows[0]
    assert rows[-1]["study_instance_uid"].startswith("2.25.")
    stored = b"".join(file.read_bytes() for file in (tmp_path / "db").rglob("*") if file.is_file())
    for word in (b"ct-head", str(pictures).encode(), b"list.csv", KEY):
        assert word not in stored
    for key, want in ((None, "plain ones"), (b"another key, as long", "those of another key")):
        with pytest.raises(StoreError, match=f"holds names under hashes, and {want} would be added"):
            index.add(pictures, key=key)


def test_rows_that_are_read_can_be_chosen(filled: Index) -> None:
    rows = pa.Table.from_batches(filled.batches("modality = 'CT' and age < 40"), schema=filled.schema).to_pylist()
    assert [row["source"] for row in rows] == ["b.png"]


def test_a_manifest_that_does_not_fit(filled: Index, tmp_path: Path) -> None:
    for name, message in (("vector", "one of the index's own"), ("the age", "cannot be one")):
        (tmp_path / "list.csv").write_text(f"path,{name}\na.png,1\n")
        with pytest.raises(StoreError, match=message):
            filled.add(tmp_path / "list.csv")
    (tmp_path / "list.csv").write_text("path,age\na.png,old\n")
    with pytest.raises(StoreError, match="column age"):
        filled.add(tmp_path / "list.csv")


def test_later_columns_are_new_ones(model: Model, pictures: Path, tmp_path: Path) -> None:
    index = Index.open(tmp_path / "db", model=model)
    index.add(pictures / "a.png")
    index.add(pictures / "list.csv", columns=["age"])
    rows = pa.Table.from_batches(index.batches()).to_pylist()
    assert [row["age"] for row in rows] == [None, 35, None]
    assert "dose" not in rows[0]


def test_labels_are_measured(filled: Index) -> None:
    found = filled.evaluate("patient", ks=[1, 2])
    assert (found.n_queries, found.n_labels) == (3, 2)
    assert found.precisions[1] == pytest.approx((0.5 + 0) / 2)  # of two others one is of the same patient, or none
    assert filled.evaluate("patient", ks=[1], apart="patient").precisions == (0,)


def test_labels_are_measured_by_what_something_makes_of_the_vectors(filled: Index) -> None:
    as_they_are = filled.evaluate("patient", ks=[1, 2], features=lambda vectors: vectors)
    assert as_they_are == filled.evaluate("patient", ks=[1, 2])  # of unit vectors the nearest are the most alike

    def by_patient(vectors: np.ndarray) -> np.ndarray:
        """All of one patient in one place: those that the index's rows say to be of 0071."""
        table = pa.Table.from_batches(filled.batches())
        own = as_vectors(table[VECTOR])[[patient == "0071" for patient in table["patient"].to_pylist()]]
        return np.array([[float((own == vector).all(axis=1).any())] for vector in vectors])

    assert filled.evaluate("patient", ks=[1], features=by_patient).precisions == (0.5,)  # 0035 has but one
    assert filled.evaluate("patient", ks=[1], apart="patient", features=by_patient).precisions == (0,)


def test_near_duplicates_are_found(
    filled: Index, model: Model, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Image.open(pictures / "a.png") as picture:
        picture.save(tmp_path / "a again.png", compress_level=1)  # other bytes, the same pixels
    index = Index.open(tmp_path / "db", model=model)
    index.add([pictures / "list.csv", tmp_path / "a again.png"], texts=["a text", "a text "])
    (pair,) = index.duplicates(cosine=0.9999)
    assert {pair.first["source"], pair.second["source"]} == {"a.png", str(tmp_path / "a again.png")}
    assert pair.cosine == pytest.approx(1, abs=1e-5)
    assert len(list(index.duplicates(cosine=-1))) == 6
    assert list(index.duplicates(cosine=0.9999, where="age > 0")) == []
    monkeypatch.setattr(duplicates, "ALL_PAIRS", 3)
    with pytest.raises(StoreError, match="no approximate index"):
        index.duplicates()
    monkeypatch.setattr(duplicates, "tuned", lambda table: Approximate(n_lists=1, refine=1))
    (again,) = index.duplicates(cosine=0.9999)
    assert {again.first["id"], again.second["id"]} == {pair.first["id"], pair.second["id"]}


def test_approximate_search_is_measured_and_tuned(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((40, 32), np.float32)
    vectors = centres[rng.integers(40, size=3_000)] + 0.4 * rng.standard_normal((3_000, 32), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    write_table(tmp_path, vectors)
    index = Index(tmp_path)
    with pytest.raises(StoreError, match="every search is exact"):
        index.check()
    assert index.optimize() is None  # too few
    built = index.optimize(approximate_from=0)
    assert built is not None and built.recall >= 0.98
    assert index.check(n_queries=30).recall >= 0.95
    hits, exact = (index.search(query=Query(vector=vectors[7]), k=10, exact=exact) for exact in (False, True))
    assert not hits.is_exact and exact.is_exact
    truth = np.argsort(-(vectors @ vectors[7]), kind="stable")[:10]
    assert exact.column("id") == [f"{place:032x}" for place in truth]
    assert len(set(hits.column("id")) & set(exact.column("id"))) >= 9


def test_a_sheet_shows_what_is_at_hand(filled: Index) -> None:
    sheet = contact_sheet(filled.search("ct", where="kind = 'image'"), "ct " * 60, notice="a notice")
    assert sheet.width > 600 and len(sheet.getcolors(1 << 24) or ()) > 500  # random pictures have many colours
    empty = contact_sheet(filled.search("ct", where="age > 200"), "ct")
    assert empty.height < 120


def test_no_index_here(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no index"):
        Index.open(tmp_path).search("ct")


def test_a_map_is_one_page_and_repeats_no_markup(model: Model, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(
        "path,remark\n" + "".join(f"{pictures / name}.png,</script><b>{name}\n" for name in "abc")
    )
    index = Index.open(tmp_path / "db", model=model)
    index.add(tmp_path / "list.csv")
    found = index.clusters(n_clusters=2)
    assert sorted(found.labels) == [0, 0, 1]
    assert found.xy.min() == 0 and found.xy.max() <= 1
    page = map_page(found, title="<map>", colour="remark")
    assert page.count("</script>") == 1 and "<b>" not in page and "<map>" not in page
    assert page.count("data:image/jpeg;base64,") == 3
    assert "http://" not in page and "https://" not in page
    with pytest.raises(StoreError, match="2 rows make no map"):
        index.clusters(where="remark like '%a' or remark like '%b'")


@pytest.mark.parametrize("begun", ["embeddings.lance", "embeddings.lance/_versions", "embeddings.lance/data"])
def test_a_table_that_was_only_begun(begun: str, model: Model, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / begun).mkdir(parents=True)
    index = Index.open(tmp_path, model=model)
    assert index.add(pictures / "a.png").n_added == 1
    assert index.add(pictures / "a.png").n_present == 1
