"""One DICOMweb service's answers (PS3.18): lists as JSON, instances as the bytes of a file; all within limits.

The only file that imports httpx2 and python-multipart (the extra `dicomweb`).
"""

from __future__ import annotations

import io
import json
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dualsight.errors import FetchError, ImageTooLarge, MissingExtra, UnreadableImage
from dualsight.image.dicomweb.credentials import HINT, authorization, is_loopback
from dualsight.image.limits import Limits

if TYPE_CHECKING:
    import httpx2

TIMEOUT_S = 60.0  # of silence
PATIENCE = 20  # timeouts that one whole answer may take: a server that drips is not waited for
LIST_BYTES = 64 << 20  # of one page of a list
REDIRECTS = 5

JSON = "application/dicom+json"
# the encoding as it is stored (PS3.18 8.7.3.5.2): without the asterisk a server would transcode to little endian
DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'


class Client:
    """Asks one service. Threads share it; where it is unpickled, connections and credentials are found anew."""

    def __init__(self, service: str, limits: Limits, timeout_s: float = TIMEOUT_S) -> None:
        """service: an http(s) address without a slash at its end."""
        self.service = service
        self.limits = limits
        self.timeout_s = timeout_s
        self._http: httpx2.Client | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Client], tuple[str, Limits, float]]:
        return Client, (self.service, self.limits, self.timeout_s)

    def connect(self) -> httpx2.Client:
        """The connections, ready; nothing is asked yet.

        Raises MissingExtra without httpx2 or python-multipart, ConfigError as `authorization` does.
        """
        with self._lock:
            if self._http is None:
                self._http = _connections(self.service, self.timeout_s)
                weakref.finalize(self, self._http.close)
            return self._http

    def rows(self, path: str, query: Mapping[str, str], *, source: str) -> tuple[list[Any], bool]:
        """One page of a list (PS3.18 10.6), and whether the server says that there is more.

        Raises FetchError as `get` does; UnreadableImage if what comes is no list of at most 64 MiB.
        """
        with self._answer(path, query, JSON, source) as response:
            if response.status_code == 204:
                return [], False
            try:
                rows = json.loads(self._body(response, LIST_BYTES, source))
            except (ValueError, RecursionError):
                rows = None
            if not isinstance(rows, list):
                raise UnreadableImage("the server's list is no DICOM JSON", source=source, hint=_ADDRESS)
            more = any(warning.startswith("299") for warning in response.headers.get_list("Warning"))
            return rows, more

    def dicom(self, path: str, *, source: str) -> bytes:
        """One instance as a DICOM file, in the encoding in which the server stores it (PS3.18 10.4).

        Raises FetchError: no connection, no answer in time, or a refusal. UnreadableImage: cut short, or no DICOM.
        ImageTooLarge: over the limit of bytes.
        """
        with self._answer(path, {}, DICOM, source) as response:
            kind = Message()
            kind["Content-Type"] = response.headers.get("Content-Type", "")
            if kind.get_content_type() == "application/dicom":
                return self._body(response, self.limits.file_bytes, source)
            boundary = kind.get_boundary()
            if kind.get_content_type() != "multipart/related" or not boundary:
                raise UnreadableImage(
                    f"the server answers with {kind.get_content_type()}, not with DICOM", source=source, hint=_ADDRESS
                )
            part = _OnlyPart(boundary, self.limits, source)
            for chunk in self._chunks(response, source):
                part.write(chunk)
            return part.close()

    @contextmanager
    def _answer(
        self, path: str, query: Mapping[str, str], accept: str, source: str
    ) -> Generator[httpx2.Response, None, None]:
        """A response of status 200 or 204, its body not yet read. What breaks in the block is said as well."""
        http = self.connect()
        import httpx2

        try:
            with http.stream("GET", self.service + path, params=query, headers={"Accept": accept}) as response:
                if response.status_code not in (200, 204):
                    raise _refused(response.status_code, source)
                yield response
        except httpx2.TimeoutException:
            raise FetchError(f"no answer within {self.timeout_s:g} s", source=source, hint="try again later") from None
        except httpx2.TooManyRedirects:
            raise FetchError(f"more than {REDIRECTS} redirects", source=source, hint=_ADDRESS) from None
        except httpx2.RemoteProtocolError:
            raise UnreadableImage("the server's answer is cut short, or no HTTP", source=source) from None
        except httpx2.DecodingError:
            raise UnreadableImage("the server's answer is damaged", source=source) from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise FetchError(
                f"cannot be reached, or broke off ({type(error).__name__})", source=source, hint=_ADDRESS
            ) from error

    def _body(self, response: httpx2.Response, limit: int, source: str) -> bytes:
        body = io.BytesIO()
        for chunk in self._chunks(response, source):
            body.write(chunk)
            if body.tell() > limit:
                raise _too_large(limit, source)
        return body.getvalue()

    def _chunks(self, response: httpx2.Response, source: str) -> Iterator[bytes]:
        end = time.monotonic() + PATIENCE * self.timeout_s
        for chunk in response.iter_bytes():
            if time.monotonic() > end:
                raise FetchError(
                    f"not all is here after {PATIENCE * self.timeout_s:g} s", source=source, hint="try again later"
                )
            yield chunk


class _OnlyPart:
    """The one part of a multipart answer, as it comes (RFC 2046, 5.1.1)."""

    def __init__(self, boundary: str, limits: Limits, source: str) -> None:
        from python_multipart.multipart import MultipartParser

        self.source = source
        self.limits = limits
        self._content = io.BytesIO()
        self._n_parts = 0
        self._ended = False
        calls: dict[str, Callable[..., None]] = {
            "on_part_begin": self._begin,
            "on_part_data": self._data,
            "on_end": self._end,
        }
        try:
            self._parser = MultipartParser(boundary.encode("ascii", "replace"), calls)  # type: ignore[arg-type]
        except ValueError:
            raise self._damaged() from None

    def write(self, chunk: bytes) -> None:
        """Raises ImageTooLarge over the limit, UnreadableImage for what is not one part."""
        try:
            self._parser.write(chunk)
        except ValueError:  # the library's own errors are
            raise self._damaged() from None
        if self._n_parts > 1:
            raise UnreadableImage("the server sends several parts for one instance", source=self.source)

    def close(self) -> bytes:
        """The part's content. Raises UnreadableImage if its end has not come, or there is none."""
        if not self._ended or not self._n_parts:
            raise self._damaged()
        return self._content.getvalue()

    def _begin(self) -> None:
        self._n_parts += 1

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._n_parts == 1:
            self._content.write(memoryview(data)[start:end])
            if self._content.tell() > self.limits.file_bytes:
                raise _too_large(self.limits.file_bytes, self.source)

    def _end(self) -> None:
        self._ended = True

    def _damaged(self) -> UnreadableImage:
        return UnreadableImage("the server's answer is cut short, or damaged", source=self.source)


def _connections(service: str, timeout_s: float) -> httpx2.Client:
    try:
        import httpx2

        import_module("python_multipart")  # said now that it is missing, not after the first instance
    except ImportError as error:
        raise MissingExtra(f"a DICOMweb source needs {error.name}", hint='pip install "dualsight[dicomweb]"') from None
    header = authorization(service)
    return httpx2.Client(
        # to another origin the library follows without this header
        headers={"Authorization": header} if header else None,
        follow_redirects=True,
        max_redirects=REDIRECTS,
        timeout=httpx2.Timeout(timeout_s, pool=None),
        # shorter than servers keep an idle connection (Orthanc: 1 s), which may close while it is being used again
        limits=httpx2.Limits(keepalive_expiry=0.5),
        # a proxy is another machine: what is meant for this one does not go there
        trust_env=not is_loopback(service),
    )


def _refused(status: int, source: str) -> FetchError:
    hints = {
        401: f"it wants to know who asks: {HINT}",
        403: f"this user may not see it. To ask as another: {HINT}",
        404: _ADDRESS,
    }
    return FetchError(f"the server answers {status}", source=source, hint=hints.get(status, "ask who runs it"))


def _too_large(limit: int, source: str) -> ImageTooLarge:
    return ImageTooLarge(f"more than the limit of {limit:,} bytes", source=source)


_ADDRESS = "is the address right, with the path of its DICOMweb service?"
