from __future__ import annotations

import keyring
import keyring.core
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringError

from dualsight.errors import ConfigError
from dualsight.interface.client.connection import check_address
from dualsight.interface.client.key import VARIABLE, find_key

HERE, THERE = "http://127.0.0.1:8000", "https://gpu.example:8443"


class Ring(KeyringBackend):
    """A keyring of two entries, or one that breaks."""

    priority = 1.0  # type: ignore[assignment]

    def __init__(self, breaks: bool = False) -> None:
        super().__init__()
        self.breaks = breaks

    def get_password(self, service: str, username: str) -> str | None:
        if self.breaks:
            raise KeyringError
        return {("dualsight", "gpu.example:8443"): "from-ring", ("dualsight", "odd"): "a b"}.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def ring(monkeypatch: pytest.MonkeyPatch) -> Ring:
    ring = Ring()
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(keyring.core, "_keyring_backend", ring)
    return ring


def test_the_first_that_is_there_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_key(THERE, None, insecure=False) == "from-ring"
    assert find_key(HERE, None, insecure=False) is None
    monkeypatch.setenv(VARIABLE, "from-environment")
    assert find_key(THERE, None, insecure=False) == "from-environment"
    assert find_key(THERE, "given", insecure=False) == "given"


def test_a_keyring_that_breaks_is_told(ring: Ring) -> None:
    ring.breaks = True
    with pytest.raises(ConfigError, match="keyring cannot be read"):
        find_key(THERE, None, insecure=False)


@pytest.mark.parametrize("key", ["a b", "a\r\nX-Evil: 1", "ä", "a:b"])
def test_what_is_no_key_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_key(HERE, key, insecure=False)
    assert key not in str(caught.value)


def test_no_key_crosses_the_network_in_the_open() -> None:
    with pytest.raises(ConfigError, match="no key is sent over plain http"):
        find_key("http://gpu.example:8000", "secret", insecure=False)
    assert find_key("http://gpu.example:8000", "secret", insecure=True) == "secret"
    assert find_key("http://localhost:8000", "secret", insecure=False) == "secret"
    assert find_key("http://gpu.example:8000", None, insecure=False) is None


@pytest.mark.parametrize(
    "address", ["", "gpu", "gpu:8000", "ftp://gpu", "http://", "http://:80", "http://gpu:99999", "http://[::1", "//gpu"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="no http"):
        check_address(address)


@pytest.mark.parametrize("address", ["http://user:secret@gpu", "http://gpu?key=secret", "http://gpu#secret"])
def test_a_secret_in_an_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_address(address)
    assert "secret" not in str(caught.value) + caught.value.hint


def test_a_slash_at_the_end_means_nothing() -> None:
    assert check_address("http://gpu:1/") == "http://gpu:1"
    assert check_address("https://gpu/imaging/") == "https://gpu/imaging"
