from __future__ import annotations

import base64
import re
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualsight.errors import UnreadableImage
from dualsight.interface.http.pictures import WINDOW, from_base64, read_window


@given(st.binary(), st.booleans(), st.booleans(), st.booleans())
def test_base64_as_clients_write_it(data: bytes, lines: bool, url: bool, padded: bool) -> None:
    text = base64.b64encode(data).decode()
    text = text if padded else text.rstrip("=")
    text = textwrap.fill(text, 20) if lines else text
    assert from_base64(f"data:application/dicom;name=a.dcm;base64,{text}" if url else text, "image") == data


@pytest.mark.parametrize(
    "text", ["a", "é", "/etc/passwd!", "data:image/png,abc", "data:", "data:;base64", "a=b=", "ab c\0"]
)
def test_what_is_no_base64(text: str) -> None:
    with pytest.raises(UnreadableImage):
        from_base64(text, "image 0")


@given(st.text())
def test_any_text_is_bytes_or_refused(text: str) -> None:
    try:
        from_base64(text, "image")
    except UnreadableImage as error:
        assert not text or text not in str(error) or len(text) < 3


@pytest.mark.parametrize(
    ("text", "window"), [("auto", "auto"), ("lung", "lung"), ("40,400", (40, 400)), ("-600,1500.5", (-600, 1500.5))]
)
def test_windows(text: str, window: object) -> None:
    assert re.fullmatch(WINDOW, text)
    assert read_window(text) == window


@pytest.mark.parametrize("text", ["", "Lung", "1", "1,0", "1,-2", "nan,1", "1,inf", "1,2,3", "1e9,1", "/etc/passwd"])
def test_what_is_no_window(text: str) -> None:
    assert not re.fullmatch(WINDOW, text)
