from __future__ import annotations

import traceback
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_stand_in import Fault, StandIn, Stored, forget_credentials, serving
from dualsight.errors import FetchError, ImageError, ImageTooLarge, UnreadableImage
from dualsight.image import Limits
from dualsight.image.dicomweb import client as dicomweb_client
from dualsight.image.dicomweb.client import Client, _OnlyPart

CONTENT = bytes(range(256)) * 5 + b"\r\n--not the boundary\r\n--5f0c4"
STORED = Stored("1.1", "1.2", "1.3", CONTENT)
SECRET = "hunter2hunter2"  # noqa: S105 - of nobody
ENCODED = "cmVhZGVyOmh1bnRlcjJodW50ZXIy"  # reader:hunter2hunter2 in base64


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    forget_credentials(monkeypatch)
    monkeypatch.setenv("DUALSIGHT_DICOMWEB_USER", "reader")
    monkeypatch.setenv("DUALSIGHT_DICOMWEB_PASSWORD", SECRET)
    with serving(StandIn(stored=[STORED])) as service:
        yield service


def client_of(service: StandIn, *, file_bytes: int = 10_000, timeout_s: float = 20.0) -> Client:
    return Client(service.url.removeprefix("dicomweb+"), Limits(file_bytes=file_bytes), timeout_s)


def failure(client: Client, *, listing: bool = False) -> ImageError:
    """How an instance or a list fails; without the credentials in anything that could be shown."""
    with pytest.raises(ImageError) as caught:
        client.rows("/instances", {}, source="the list") if listing else client.dicom(STORED.path, source="the file")
    shown = "".join(traceback.format_exception(caught.value)) + caught.value.hint + repr(vars(caught.value))
    assert SECRET not in shown and ENCODED not in shown
    assert caught.value.source == ("the list" if listing else "the file")
    return caught.value


@pytest.mark.parametrize("faults", [set(), {"no multipart"}])
def test_the_bytes_are_those_of_the_server_in_its_own_encoding(service: StandIn, faults: set[Fault]) -> None:
    service.faults = faults
    assert client_of(service, file_bytes=len(CONTENT)).dicom(STORED.path, source="the file") == CONTENT
    ((_, _, headers),) = service.requests
    assert "transfer-syntax=*" in headers["Accept"] and headers["Authorization"] == f"Basic {ENCODED}"


@pytest.mark.parametrize("fault", ["truncated", "no end", "two parts", "web page", "not http"])
def test_broken_answers(service: StandIn, fault: Fault) -> None:
    service.faults = {fault}
    assert isinstance(failure(client_of(service)), UnreadableImage)


@pytest.mark.parametrize("fault", ["no list", "truncated", "not http"])
def test_broken_lists(service: StandIn, fault: Fault) -> None:
    service.faults = {fault}
    assert isinstance(failure(client_of(service), listing=True), UnreadableImage)


@pytest.mark.parametrize("faults", [set(), {"no multipart"}])
def test_more_than_the_limit_is_not_read(service: StandIn, faults: set[Fault]) -> None:
    service.faults = faults
    assert isinstance(failure(client_of(service, file_bytes=len(CONTENT) - 1)), ImageTooLarge)


def test_the_size_of_a_list_is_limited(service: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicomweb_client, "LIST_BYTES", 10)
    assert isinstance(failure(client_of(service), listing=True), ImageTooLarge)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 503])
@pytest.mark.parametrize("listing", [True, False])
def test_refusals_say_the_status_and_what_to_do(service: StandIn, status: int, listing: bool) -> None:
    service.status[""] = status
    error = failure(client_of(service), listing=listing)
    assert isinstance(error, FetchError) and str(status) in error.problem and error.hint
    for name in ("DUALSIGHT_DICOMWEB_USER", "DUALSIGHT_DICOMWEB_PASSWORD", "DUALSIGHT_DICOMWEB_TOKEN"):
        assert (name in error.hint) == (status in (401, 403))


def test_a_silent_server_is_not_waited_for(service: StandIn) -> None:
    service.faults = {"silent"}
    error = failure(client_of(service, timeout_s=0.05))
    assert isinstance(error, FetchError) and error.problem == "no answer within 0.05 s"


def test_nor_one_that_drips(service: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicomweb_client, "PATIENCE", 0.01)
    service.faults = {"drips"}
    error = failure(client_of(service, timeout_s=10.0))
    assert isinstance(error, FetchError) and error.problem == "not all is here after 0.1 s"


def test_nobody_listens(service: StandIn) -> None:
    client = client_of(service)
    client.service = "http://127.0.0.1:9/dicom-web"  # the discard port
    error = failure(client)
    assert isinstance(error, FetchError) and "cannot be reached" in error.problem


def test_another_host_gets_no_credentials(service: StandIn) -> None:
    with serving(StandIn(stored=[STORED])) as other:
        service.redirect[STORED.path] = other.url.removeprefix("dicomweb+") + STORED.path
        assert client_of(service).dicom(STORED.path, source="the file") == CONTENT
        ((_, _, headers),) = other.requests
        assert "Authorization" not in headers
    assert "Authorization" in service.requests[0][2]


def test_a_redirect_within_the_service_keeps_them(service: StandIn) -> None:
    service.authorization = f"Basic {ENCODED}"
    service.redirect["/studies/9"] = service.url.removeprefix("dicomweb+") + STORED.path
    assert client_of(service).dicom("/studies/9", source="the file") == CONTENT


def test_redirects_end(service: StandIn) -> None:
    service.redirect[STORED.path] = service.url.removeprefix("dicomweb+") + STORED.path
    assert "redirects" in failure(client_of(service)).problem
    assert len(service.requests) == dicomweb_client.REDIRECTS + 1


def test_a_redirect_to_nowhere(service: StandIn) -> None:
    for location in ("file:///etc/passwd", "http://", "//[", "gopher://x/"):
        service.redirect[STORED.path] = location
        assert isinstance(failure(client_of(service)), ImageError)


def test_what_is_meant_for_this_machine_does_not_go_to_a_proxy(
    service: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(StandIn()) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        assert client_of(service).dicom(STORED.path, source="the file") == CONTENT
        assert proxy.requests == []


@given(
    content=st.binary(max_size=300) | st.lists(st.sampled_from([b"\r", b"\n", b"-", b"\r\n--AB", b"x"])).map(b"".join),
    sizes=st.lists(st.integers(1, 40), min_size=1),
    preamble=st.sampled_from([b"", b"\r\n"]),
)
def test_a_part_is_the_same_however_it_is_cut(content: bytes, sizes: list[int], preamble: bytes) -> None:
    content = content.replace(b"\r\n--ABC", b"")
    body = preamble + b"--ABC\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--ABC--\r\n"
    part = _OnlyPart("ABC", Limits(), "the file")
    start = 0
    while start < len(body):
        size = sizes[start % len(sizes)]
        part.write(body[start : start + size])
        start += size
    assert part.close() == content


@given(st.binary(max_size=200))
def test_any_bytes_are_a_part_or_refused(body: bytes) -> None:
    for given_bytes in (body, b"--ABC\r\n" + body, b"--ABC\r\n\r\n" + body):
        part = _OnlyPart("ABC", Limits(), "the file")
        with pytest.raises(UnreadableImage):  # there is no end in it
            part.write(given_bytes)
            part.close()


@pytest.mark.parametrize("boundary", ["", "x" * 1000, "ä"])
def test_odd_boundaries(boundary: str) -> None:
    with pytest.raises(UnreadableImage):
        part = _OnlyPart(boundary, Limits(), "the file")
        part.write(b"something else")
        part.close()
