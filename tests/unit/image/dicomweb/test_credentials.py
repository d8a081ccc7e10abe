from __future__ import annotations

import base64
import sys

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, NoKeyringError

from dicomweb_stand_in import forget_credentials
from dualsight.errors import ConfigError
from dualsight.image.dicomweb.credentials import authorization, is_loopback

HTTPS = "https://pacs.example:8042/dicom-web"


class Entries(KeyringBackend):
    """A keyring in memory. Priority 0: nobody's keyring is it by itself."""

    priority = 0  # type: ignore[assignment]

    def __init__(self, entries: dict[tuple[str, str], str], error: Exception | None = None) -> None:
        super().__init__()
        self.entries = entries
        self.error = error

    def get_password(self, service: str, username: str) -> str | None:
        if self.error is not None:
            raise self.error
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_credentials(monkeypatch)


def set_variables(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"DUALSIGHT_DICOMWEB_{name}", value)


def basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


def test_without_credentials_there_is_no_header() -> None:
    assert authorization(HTTPS) is None
    assert authorization("http://pacs.example/dicom-web") is None


def test_user_and_password(monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, {"USER": "reader", "PASSWORD": "ö:pen sesame"})
    assert authorization(HTTPS) == basic("reader:ö:pen sesame")
    set_variables(monkeypatch, {"PASSWORD": ""})
    assert authorization(HTTPS) == basic("reader:")


def test_token(monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, {"TOKEN": "eyJh.bGci-_~+/=="})
    assert authorization(HTTPS) == "Bearer eyJh.bGci-_~+/=="


@pytest.mark.parametrize(
    "values",
    [
        {"USER": "reader"},
        {"PASSWORD": "hunter2"},
        {"USER": "rea:der", "PASSWORD": "hunter2"},
        {"TOKEN": "hunter2", "USER": "reader"},
        {"TOKEN": "hunter2", "PASSWORD": "hunter2"},
        {"TOKEN": "hunter2\r\nX-Admin: 1"},
        {"TOKEN": "hunter2 hunter2"},
        {"TOKEN": "hunter2ü"},
    ],
)
def test_what_cannot_be_meant_is_said_without_the_secret(
    values: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_variables(monkeypatch, values)
    with pytest.raises(ConfigError, match="DUALSIGHT_DICOMWEB_") as caught:
        authorization(HTTPS)
    assert "hunter2" not in str(caught.value) + caught.value.hint


def test_the_keyring_is_asked_for_the_host_and_port_of_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {("dualsight", "pacs.example:8042"): "reader:sesame", ("dualsight", "other.example"): "tok.en"}
    keyring.set_keyring(Entries(entries))
    assert authorization(HTTPS) == basic("reader:sesame")
    assert authorization("https://other.example/rs") == "Bearer tok.en"
    assert authorization("https://pacs.example/dicom-web") is None
    set_variables(monkeypatch, {"TOKEN": "abc"})  # the environment comes first
    assert authorization(HTTPS) == "Bearer abc"


def test_a_machine_without_a_keyring_has_no_entry() -> None:
    keyring.set_keyring(Entries({}, NoKeyringError()))
    assert authorization(HTTPS) is None


def test_a_locked_keyring_is_said() -> None:
    keyring.set_keyring(Entries({}, KeyringLocked("hunter2")))
    with pytest.raises(ConfigError, match="KeyringLocked") as caught:
        authorization(HTTPS)
    assert "hunter2" not in str(caught.value)


def test_keyring_need_not_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert authorization(HTTPS) is None


@pytest.mark.parametrize("by_keyring", [True, False])
def test_plain_http_is_for_this_machine_or_the_users_word(by_keyring: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if by_keyring:
        keyring.set_keyring(Entries({("dualsight", "pacs.example"): "hunter2"}))
    else:
        set_variables(monkeypatch, {"TOKEN": "hunter2"})
        assert authorization("http://127.0.0.1:8042/dicom-web") == "Bearer hunter2"
    for word in (None, "", "0", "true"):
        if word is not None:
            set_variables(monkeypatch, {"INSECURE": word})
        with pytest.raises(ConfigError, match=r"pacs\.example") as caught:
            authorization("http://pacs.example/dicom-web")
        assert "hunter2" not in str(caught.value) and "DUALSIGHT_DICOMWEB_INSECURE=1" in caught.value.hint
    set_variables(monkeypatch, {"INSECURE": "1"})
    assert authorization("http://pacs.example/dicom-web") == "Bearer hunter2"


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9:80", True),
        ("[::1]:8042", True),
        ("LOCALHOST", True),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - bound to by nobody
        ("[::]", False),
        ("127.1", False),
    ],
)
def test_whose_address_it_is_is_told_by_its_name(host: str, own: bool) -> None:
    assert is_loopback(f"http://{host}/dicom-web") is own
