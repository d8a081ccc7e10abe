from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_files import PATIENT, dicom_bytes
from dicomweb_stand_in import Fault, StandIn, Stored, forget_credentials, serving
from dualsight.errors import ConfigError, FetchError, ImageError, ImageTooLarge, MissingExtra, UnsupportedImage
from dualsight.image import Item, Limits, Skipped, scan
from dualsight.image.dicomweb import instances as dicomweb_instances
from dualsight.image.dicomweb.instances import Place, instances, narrow, parse

PIXELS = np.arange(16, dtype=np.uint16).reshape(4, 4)
PICTURE = dicom_bytes(PIXELS)
STORED = [
    Stored("1.2.840.1", "1.2.840.1.1", "1.2.840.1.1.1", PICTURE),
    Stored("1.2.840.1", "1.2.840.1.1", "1.2.840.1.1.2", PICTURE),
    Stored("1.2.840.1", "1.2.840.1.2", "1.2.840.1.2.1", PICTURE),
    Stored("1.2.840.2", "1.2.840.2.1", "1.2.840.2.1.1", PICTURE),
    Stored("1.2.840.2", "1.2.840.2.1", "1.2.840.2.1.2", PICTURE),
]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    forget_credentials(monkeypatch)
    with serving(StandIn(stored=list(STORED))) as service:
        yield service


def names(found: Iterable[Item | Skipped]) -> list[str]:
    return [thing.name for thing in found]


def failure(thing: Item | Skipped) -> ImageError:
    """Why an item cannot be opened."""
    assert isinstance(thing, Item)
    with pytest.raises(ImageError) as caught:
        list(thing.frames())
    assert caught.value.source == thing.name and PATIENT not in str(caught.value)
    return caught.value


def test_every_instance_is_an_item_and_its_frames_are_those_of_the_file(service: StandIn) -> None:
    found = list(scan(service.url))
    assert names(found) == [service.url + stored.path for stored in STORED]
    for item, stored in zip(found, STORED, strict=True):
        assert isinstance(item, Item)
        assert (item.study_instance_uid, item.series_instance_uid) == (stored.study, stored.series)
        (frame,) = item.frames()
        assert frame.source == item.name
        assert frame.pixels.shape == (4, 4, 3)


def test_nothing_is_fetched_before_it_is_opened(service: StandIn) -> None:
    found = scan(service.url)
    assert service.requests == []
    next(found)
    ((path, _, headers),) = service.requests
    assert path == "/instances" and "Authorization" not in headers  # nobody has said who asks


@pytest.mark.parametrize(
    ("study", "series", "count"),
    [("1.2.840.1", None, 3), ("1.2.840.1", "1.2.840.1.1", 2), (None, "1.2.840.2.1", 2), ("1.2.840.2", None, 2)],
)
@pytest.mark.parametrize("faults", [set(), {"ignores the query"}])
def test_a_study_or_series(
    service: StandIn, study: str | None, series: str | None, count: int, faults: set[Fault]
) -> None:
    service.faults = faults
    found = list(scan(narrow(service.url, study=study, series=series)))
    chosen = [stored for stored in STORED if study in (None, stored.study) and series in (None, stored.series)]
    assert names(found) == [service.url + stored.path for stored in chosen] and len(found) == count


def test_the_name_of_an_item_is_a_source_again(service: StandIn) -> None:
    *_, last = scan(service.url)
    service.requests.clear()
    (again,) = scan(last.name)
    assert isinstance(again, Item) and again.name == last.name
    assert len(list(again.frames())) == 1
    assert [path for path, _, _ in service.requests] == [STORED[-1].path]  # no list is needed


def test_an_instance_of_which_only_its_own_uid_is_known_is_searched(service: StandIn) -> None:
    assert names(scan(f"{service.url}/instances/{STORED[2].instance}")) == [service.url + STORED[2].path]


@pytest.mark.parametrize("page", [1, 2, 3, 5, 7])
def test_a_list_comes_in_pages(service: StandIn, page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicomweb_instances, "PAGE", page)
    assert names(scan(service.url)) == [service.url + stored.path for stored in STORED]
    assert {query["limit"] for query in service.lists} == {str(page)}
    service.requests.clear()
    service.page = 2  # the server's own limit is smaller, and it says so or not
    service.warns = page % 2 == 0
    assert names(scan(service.url)) == [service.url + stored.path for stored in STORED]


def test_what_moves_to_the_next_page_meanwhile_comes_once(service: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicomweb_instances, "PAGE", 2)
    found = scan(service.url)
    first = next(found)
    service.stored.insert(0, Stored("1.2.840.3", "1.2.840.3.1", "1.2.840.3.1.1", PICTURE))
    assert names([first, *found]) == [service.url + stored.path for stored in STORED]


def test_a_server_that_ignores_paging_has_told_all_at_once(service: StandIn) -> None:
    service.faults = {"ignores limit and offset"}
    assert names(scan(service.url)) == [service.url + stored.path for stored in STORED]
    assert len(service.lists) == 2


@pytest.mark.parametrize("says_so", [True, False])
def test_a_server_that_repeats_its_first_page_is_not_taken_for_complete(
    service: StandIn, says_so: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicomweb_instances, "PAGE", 4 if says_so else 3)
    service.faults, service.page, service.warns = {"ignores offset"}, 3, says_so
    *found, last = scan(service.url)
    assert names(found) == [service.url + stored.path for stored in STORED[:3]]
    assert "cannot be listed" in failure(last).problem
    assert len(service.lists) == 2


def test_a_list_without_end_is_given_up(service: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicomweb_instances, "PAGES", 3)
    monkeypatch.setattr(dicomweb_instances, "PAGE", 10)
    service.faults = {"never ends"}
    *found, last = scan(service.url)
    assert len(found) == 30 and len(service.lists) == 3
    assert "does not end" in failure(last).problem


def test_a_list_that_breaks_off_keeps_what_came_before(service: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicomweb_instances, "PAGE", 2)
    found = scan(service.url)
    first = [next(found), next(found)]
    service.status[""] = 500
    (last,) = found
    assert names(first) == [service.url + stored.path for stored in STORED[:2]]
    assert isinstance(failure(last), FetchError) and "500" in failure(last).problem


@pytest.mark.parametrize("study", ["1.2.840.9", "1.2.840"])
def test_nothing_found_is_an_error(service: StandIn, study: str) -> None:
    (item,) = scan(narrow(service.url, study=study))
    assert item.name == f"{service.url}/studies/{study}"
    assert failure(item).problem == "the server lists nothing here"


def test_classes_without_pictures_are_skipped_unless_they_have_rows(service: StandIn) -> None:
    report = {"00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.88.11"]}}
    odd = report | {"00280010": {"vr": "US", "Value": [4]}}
    private = {"00080016": {"vr": "UI", "Value": ["1.3.6.1.4.1.5962.301.9"]}}
    service.stored = [Stored("1.1", "1.2", f"1.3.{n}", PICTURE, row) for n, row in enumerate((report, odd, private))]
    skipped, *found = scan(service.url)
    assert isinstance(skipped, Skipped)
    assert (skipped.name, skipped.reason) == (
        service.url + service.stored[0].path,
        "no pixels: Basic Text SR Storage",
    )
    assert len(found) == 2 and all(isinstance(thing, Item) for thing in found)


@pytest.mark.parametrize(
    "row", [{"00080018": {}}, {"0020000E": {"Value": ["../../admin"]}}, {"0020000D": {"Value": 1}}]
)
def test_rows_without_uids_are_reported(service: StandIn, row: dict[str, object]) -> None:
    service.stored = [Stored("1.1", "1.2", "1.3", PICTURE, row)]
    (skipped,) = scan(service.url)
    assert skipped == Skipped(name=service.url, reason="an instance whose UIDs the server does not list")


def test_uids_in_the_address_need_not_be_listed(service: StandIn) -> None:
    service.stored = [Stored("1.1", "1.2", "1.3", PICTURE, {"0020000D": {}, "0020000E": {}})]
    assert names(scan(f"{service.url}/studies/1.1/series/1.2")) == [service.url + service.stored[0].path]


def test_what_a_list_holds_besides_objects_is_no_crash(service: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    odd: list[object] = [1, "x", None, [], {"00080018": {"Value": None}}]
    monkeypatch.setattr(Stored, "listed", lambda stored: odd[int(stored.instance)])
    service.stored = [Stored("1.1", "1.2", str(n)) for n in range(len(odd))]
    found = list(scan(service.url))
    assert len(found) == len(odd) and all(isinstance(thing, Skipped) for thing in found)


def test_the_size_of_an_instance_is_limited(service: StandIn) -> None:
    first, *_ = instances(service.url, limits=Limits(file_bytes=len(PICTURE)))
    assert isinstance(first, Item) and callable(first.content)
    assert first.content() == PICTURE
    first, *_ = instances(service.url, limits=Limits(file_bytes=len(PICTURE) - 1))
    assert isinstance(failure(first), ImageTooLarge)


def test_items_travel_to_other_processes_without_credentials(service: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUALSIGHT_DICOMWEB_USER", "reader")
    monkeypatch.setenv("DUALSIGHT_DICOMWEB_PASSWORD", "open sesame")
    service.authorization = "Basic cmVhZGVyOm9wZW4gc2VzYW1l"
    (item,) = scan(narrow(service.url + STORED[0].path))
    assert isinstance(item, Item) and callable(item.content)
    item.content()  # connected
    frozen = pickle.dumps(item)
    assert b"sesame" not in frozen and b"cmVhZGVy" not in frozen
    thawed = pickle.loads(frozen)  # noqa: S301 - our own
    assert thawed.content() == PICTURE


def test_threads_share_the_items(service: StandIn) -> None:
    service.stored = [Stored("1.1", "1.2", f"1.3.{n}", dicom_bytes(PIXELS + n)) for n in range(12)]
    found = list(scan(service.url))
    contents: dict[int, bytes] = {}

    def fetch(n: int) -> None:
        item = found[n]
        assert isinstance(item, Item) and callable(item.content)
        contents[n] = item.content()

    threads = [threading.Thread(target=fetch, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert contents == {n: stored.content for n, stored in enumerate(service.stored)}


def test_other_sources_are_scanned_beside_a_dead_server(service: StandIn) -> None:
    dead = "dicomweb+http://127.0.0.1:9/dicom-web"  # the discard port: nobody listens
    first, *rest = scan([dead, service.url])
    assert isinstance(failure(first), FetchError)
    assert len(rest) == len(STORED)


def test_without_the_extra_the_command_that_installs_it_is_named(
    service: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(MissingExtra, match="httpx2") as caught:
        next(scan(service.url))
    assert caught.value.hint == 'pip install "dualsight[dicomweb]"'


@pytest.mark.parametrize(
    "url",
    [
        "dicomweb+http://reader:hunter2@pacs.example/dicom-web",
        "dicomweb+https://:hunter2@pacs.example",
        "dicomweb+http:reader:hunter2@pacs.example",
        "dicomweb+https://pacs.example/dicom-web?key=hunter2",
        "dicomweb+https://pacs.example/dicom-web#hunter2",
    ],
)
def test_secrets_in_an_address_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UnsupportedImage) as caught:
        next(scan(url))
    assert "hunter2" not in str(caught.value) + caught.value.hint and "reader" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "dicomweb+",
        "dicomweb+http://",
        "dicomweb+ftp://pacs.example/dicom-web",
        "dicomweb+https:///dicom-web",
        "dicomweb+https://pacs.example:x/dicom-web",
        "dicomweb+https://pacs.example:99999/dicom-web",
        "dicomweb+https://pacs.example/dicom-web/studies",
        "dicomweb+https://pacs.example/dicom-web/studies/",
        "dicomweb+https://pacs.example/dicom-web/studies/1.2/metadata",
        "dicomweb+https://pacs.example/dicom-web/studies/1..2",
        "dicomweb+https://pacs.example/dicom-web/series/1.2/studies/1.2",
        "dicomweb+https://pacs.example/dicom-web/studies/" + "1" * 65,
    ],
)
def test_what_is_no_address_is_refused_before_anything_is_asked(url: str) -> None:
    with pytest.raises(UnsupportedImage):
        next(scan(url))


@pytest.mark.parametrize("uid", ["", "1.2/../../admin", "1.2?x=1", "..", "1.2\n", "1.2.", "abc", "1" * 65, "²"])
def test_what_is_no_uid_is_refused(uid: str) -> None:
    for level in ("study", "series"):
        with pytest.raises(UnsupportedImage, match="UID"):
            narrow("dicomweb+https://pacs.example/dicom-web", **{level: uid})


def test_a_study_in_the_address_and_another_one_beside_it() -> None:
    url = "dicomweb+https://pacs.example/dicom-web/studies/1.2"
    assert narrow(url, study="1.2", series="1.3") == f"{url}/series/1.3"
    with pytest.raises(UnsupportedImage, match="another study"):
        narrow(url, study="1.20")


def test_credentials_in_the_open_are_refused_before_anything_is_asked(
    service: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUALSIGHT_DICOMWEB_TOKEN", "abc")
    with pytest.raises(ConfigError, match="plain http"):
        next(scan("dicomweb+http://pacs.example/dicom-web"))


uids = st.lists(st.integers(0, 10**9), min_size=1, max_size=6).map(lambda parts: ".".join(map(str, parts)))
segments = st.text("abcxyz-_.~%20", min_size=1, max_size=8).filter(lambda text: text not in ("..", "."))


@given(
    host=st.sampled_from(["pacs.example", "127.0.0.1:8042", "[::1]:8042", "localhost"]),
    segments=st.lists(segments, max_size=3),
    study=st.none() | uids,
    series=st.none() | uids,
    instance=st.none() | uids,
)
def test_an_address_says_what_it_means(
    host: str, segments: list[str], study: str | None, series: str | None, instance: str | None
) -> None:
    place = Place(service="/".join([f"https://{host}", *segments]), study=study, series=series, instance=instance)
    assert parse(place.name) == parse(f"{place.name}/") == place


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for url in (f"dicomweb+{text}", f"dicomweb+https://{text}", f"dicomweb+https://h/studies/{text}"):
        try:
            place = parse(url)
        except UnsupportedImage:
            continue
        assert place.service.startswith(("http://", "https://")) and "@" not in place.name
