"""A DICOMweb server (PS3.18) → its instances, one at a time: listed by QIDO-RS, each fetched by WADO-RS when opened.

dicomweb+https://HOST[:PORT]/PATH[/studies/UID][/series/UID][/instances/UID]
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from dualsight.errors import FetchError, ImageError, UnsupportedImage
from dualsight.image.dicomweb.client import TIMEOUT_S, Client
from dualsight.image.limits import Limits
from dualsight.image.source import Item, Skipped

PREFIX = "dicomweb+"
PAGE = 500  # instances asked for at once
PAGES = 100_000  # a list without end is given up

_UID = re.compile(r"(?=.{1,64}\Z)[0-9]+(\.[0-9]+)*")  # PS3.5 9.1; leading zeros occur, though they should not
_FORM = re.compile(
    rf"{re.escape(PREFIX)}(?P<service>https?://[^\x00-\x20/?#@]+(/(?!(?:studies|series|instances)(?:/|\Z))[^\x00-\x20/?#@]*)*?)"
    r"(/studies/(?P<study>[^/?#@]+))?(/series/(?P<series>[^/?#@]+))?(/instances/(?P<instance>[^/?#@]+))?/*"
)
# storage SOP classes without a picture (PS3.4 table B.5-1), by how their UIDs begin
_NO_PICTURES = tuple(
    f"1.2.840.10008.5.1.4.1.1.{root}"
    for root in (
        *("9.", "11.", "66.1", "66.2", "66.3", "88.", "104."),  # waveforms, presentation states, registrations, SR, PDF
        *("481.3", "481.4", "481.5", "481.6", "481.7", "481.8", "481.9"),  # radiotherapy plans and records
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What an address means: a service (http or https, no slash at its end), and which part of what it holds."""

    service: str
    study: str | None = None
    series: str | None = None
    instance: str | None = None

    @property
    def path(self) -> str:
        """The resource in the service; with all three UIDs that of an instance."""
        parts = (("studies", self.study), ("series", self.series), ("instances", self.instance))
        return "".join(f"/{name}/{uid}" for name, uid in parts if uid)

    @property
    def name(self) -> str:
        """The address in the user's form; `scan` takes it."""
        return f"{PREFIX}{self.service}{self.path}"


@dataclass(frozen=True, slots=True)
class _Fetch:
    """An instance's content, fetched each time it is called."""

    client: Client
    place: Place

    def __call__(self) -> bytes:
        return self.client.dicom(self.place.path, source=self.place.name)


@dataclass(frozen=True, slots=True)
class _Unlisted:
    """In place of the content that a list would have had: why there is no list."""

    error: ImageError

    def __call__(self) -> bytes:
        raise self.error


def parse(url: str) -> Place:
    """What an address of the form above means.

    Raises UnsupportedImage for another form. A password in it is refused, and not repeated.
    """
    if "@" in url:
        raise UnsupportedImage(
            "an address with a user name or password in it, where every list of processes shows it",
            source=f"{PREFIX}…",
            hint="set DUALSIGHT_DICOMWEB_USER and DUALSIGHT_DICOMWEB_PASSWORD, or store them in the keyring",
        )
    form = _FORM.fullmatch(url)
    if form is None or not _is_address(form["service"]):
        raise UnsupportedImage(
            "no address of a DICOMweb service",
            source=re.split("[?#]", url)[0],  # what comes after them may be a key
            hint="dicomweb+https://HOST/PATH, and after it perhaps /studies/UID, /series/UID, /instances/UID",
        )
    return _checked(
        Place(
            service=form["service"].rstrip("/"),
            study=form["study"],
            series=form["series"],
            instance=form["instance"],
        )
    )


def _is_address(service: str) -> bool:
    try:
        parts = urlsplit(service)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        return False


def narrow(url: str, *, study: str | None = None, series: str | None = None) -> str:
    """The address of a study or series in what `url` names.

    Raises UnsupportedImage as `parse` does, or if `url` names another one already.
    """
    place = parse(url)
    for level, named, wanted in (("study", place.study, study), ("series", place.series, series)):
        if None not in (named, wanted) and named != wanted:
            raise UnsupportedImage(f"names another {level} already", source=url)
    if study is not None:
        place = replace(place, study=study)
    if series is not None:
        place = replace(place, series=series)
    return _checked(place).name


def _checked(place: Place) -> Place:
    for level, uid in (("study", place.study), ("series", place.series), ("instance", place.instance)):
        if uid is not None and not _UID.fullmatch(uid):
            raise UnsupportedImage(
                f"{uid!r} is no UID of {level}" if uid else f"an empty UID of a {level}",
                source=f"{PREFIX}{place.service}",
                hint="digits and dots, at most 64",
            )
    return place


def instances(url: str, *, limits: Limits | None = None, timeout_s: float = TIMEOUT_S) -> Iterator[Item | Skipped]:
    """The instances that an address means, in the server's order; no more than a page of the list is held.

    A list that cannot be had, is broken off or empty ends with an Item that fails with the reason when it is opened:
    what is fetched by then is kept, and nothing is taken for complete that is not. Instances of a SOP class without
    pictures are Skipped.

    timeout_s: of silence in an answer. Raises UnsupportedImage as `parse` does, MissingExtra without the extra
    `dicomweb`, ConfigError for credentials that cannot be meant or would be sent in the open.
    """
    place = parse(url)
    client = Client(place.service, limits or Limits(), timeout_s)
    client.connect()
    if place.study and place.series and place.instance:
        yield _item(client, place)
        return
    found = False
    try:
        for row in _rows(client, place):
            thing = _found(row, client, place)
            if thing is not None:
                found = True
                yield thing
        if not found:
            raise FetchError("the server lists nothing here", source=place.name, hint="are the UIDs right?")
    except ImageError as error:
        yield Item(name=place.name, content=_Unlisted(error))


def _rows(client: Client, place: Place) -> Iterator[Any]:
    """The list's rows. Some servers ignore `limit`, some `offset`: then the same page comes again, and is the last."""
    path, query = _search(place)
    before: set[str] = set()
    offset = 0
    more_said = False
    for _ in range(PAGES):
        page, more = client.rows(path, {**query, "limit": str(PAGE), "offset": str(offset)}, source=place.name)
        uids = {_value(row, _SOP_INSTANCE_UID) for row in page}
        if page and uids <= before:
            if len(page) == PAGE or more_said:  # it may have more, and cannot be made to show it
                raise FetchError(
                    f"the server repeats {len(page):,} instances instead of going on: the rest cannot be listed",
                    source=place.name,
                    hint="name a study or a series that has fewer",
                )
            return
        for row in page:
            if _value(row, _SOP_INSTANCE_UID) not in before:
                yield row
        if not page:
            return
        before, more_said, offset = uids, more, offset + len(page)
    raise FetchError(f"the server's list does not end within {PAGES:,} pages", source=place.name)


def _search(place: Place) -> tuple[str, dict[str, str]]:
    """Where to search for instances (PS3.18 table 10.6.1-1), and what the address does not say of them."""
    scope = replace(place, series=place.series if place.study else None, instance=None)
    wanted = {"SeriesInstanceUID": None if scope.series else place.series, "SOPInstanceUID": place.instance}
    return f"{scope.path}/instances", {keyword: uid for keyword, uid in wanted.items() if uid}


_SOP_CLASS_UID, _SOP_INSTANCE_UID, _ROWS = "00080016", "00080018", "00280010"
_STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID = "0020000D", "0020000E"


def _found(row: Any, client: Client, place: Place) -> Item | Skipped | None:
    """What a row stands for; None for what was not asked for, since some servers ignore a query."""
    here = replace(
        place,
        study=_value(row, _STUDY_INSTANCE_UID) or place.study,
        series=_value(row, _SERIES_INSTANCE_UID) or place.series,
        instance=_value(row, _SOP_INSTANCE_UID) or place.instance,
    )
    asked = ((place.study, here.study), (place.series, here.series), (place.instance, here.instance))
    if any(wanted and wanted != given for wanted, given in asked):
        return None
    if not (here.study and here.series and here.instance):
        return Skipped(name=place.name, reason="an instance whose UIDs the server does not list")
    sop_class = _value(row, _SOP_CLASS_UID)
    if sop_class.startswith(_NO_PICTURES) and not _value(row, _ROWS):
        from pydicom.uid import UID

        return Skipped(name=here.name, reason=f"no pixels: {UID(sop_class).name}")
    return _item(client, here)


def _item(client: Client, place: Place) -> Item:
    return Item(
        name=place.name,
        content=_Fetch(client, place),
        study_instance_uid=place.study,
        series_instance_uid=place.series,
    )


def _value(row: Any, tag: str) -> str:
    """An attribute's first value in DICOM JSON (PS3.18 F.2), or "". A UID that is none is not there."""
    try:
        value = str(row[tag]["Value"][0])
    except (KeyError, IndexError, TypeError):
        return ""
    return value if _UID.fullmatch(value) else ""
