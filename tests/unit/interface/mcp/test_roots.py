from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dualsight.errors import ConfigError, UnreadableImage
from dualsight.interface.mcp.roots import Roots


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """allowed/, allowed-not/ and secret beside each other; links from the first to the others."""
    for folder in ("allowed/inner", "allowed-not", "also"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("allowed/a.png", "allowed/inner/b.png", "allowed-not/c.png", "also/d.png", "secret.txt"):
        (tmp_path / file).write_text(file)
    (tmp_path / "allowed/out").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "allowed/up").symlink_to(tmp_path)
    (tmp_path / "allowed/in").symlink_to(tmp_path / "allowed/inner/b.png")
    (tmp_path / "allowed/across").symlink_to(tmp_path / "also/d.png")
    (tmp_path / "allowed/circle").symlink_to(tmp_path / "allowed/circle")
    (tmp_path / "allowed/nowhere").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "allowed/pipe")
    return tmp_path


def test_files_below_a_root_are_found_under_the_agents_own_name(house: Path) -> None:
    roots = Roots([house / "allowed", house / "also"])
    for name in ("a.png", "inner/b.png", "inner/../a.png", "in", "d.png", "across", str(house / "allowed/a.png")):
        item = roots.item(name)
        assert item.name == name and isinstance(item.content, Path) and item.content.is_file()
        assert not item.content.is_symlink()


@pytest.mark.parametrize(
    "name",
    [
        "../secret.txt",
        "../allowed-not/c.png",
        "inner/../../secret.txt",
        "{house}/secret.txt",
        "{house}/nothing",
        "{house}/allowed-not/c.png",
        "{house}/allowed/../secret.txt",
        "//{house}/secret.txt",
        "out",
        "up/secret.txt",
        "up/up2/../secret.txt",
        "circle",
        "nowhere",
        "pipe",
        "inner",
        "",
        ".",
        "..",
        "~/secret.txt",
        "\0",
        "a.png\0",
        "a.png/..",
        "/etc/passwd",
        "/proc/self/environ",
        "/dev/zero",
        "file:///etc/passwd",
        "http://127.0.0.1/a.png",
        "dicomweb+http://127.0.0.1/dicom-web",
        "data:image/png;base64,AAAA",
        "x" * 5000,
        "\ud800",
        "..\\secret.txt",
        "%2e%2e/secret.txt",
    ],
)
def test_all_else_is_refused_in_the_same_words(house: Path, name: str) -> None:
    roots = Roots([house / "allowed"])
    name = name.replace("{house}", str(house))
    with pytest.raises(UnreadableImage) as caught:
        roots.item(name)
    error = caught.value
    assert error.problem == "is no file in a folder that this server may read"
    assert "secret" not in error.problem + error.hint
    assert f"below {house / 'allowed'};" in error.hint


def test_what_is_there_and_what_is_not_read_alike_outside(house: Path) -> None:
    roots = Roots([house / "allowed"])
    told = []
    for name in ("/etc/passwd", "/etc/passwf"):
        with pytest.raises(UnreadableImage) as caught:
            roots.item(name)
        told.append((str(caught.value).replace(name, ""), caught.value.hint))
    assert told[0] == told[1]


def test_without_roots_nothing_is_read(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(house / "allowed")
    with pytest.raises(UnreadableImage) as caught:
        Roots([]).item("a.png")
    assert "--root" in caught.value.hint


@pytest.mark.parametrize("name", ["allowed/a.png", "nothing", "allowed/circle"])
def test_a_root_is_a_folder(house: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="is no folder"):
        Roots([house / name])


def test_a_root_may_be_a_link_and_relative(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(house)
    (house / "link").symlink_to(house / "allowed")
    assert Roots([Path("link")]).item("a.png").content == (house / "allowed/a.png").resolve()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["..", ".", "inner", "up", "out", "in", "a.png", "secret.txt", "", "allowed", "/"])))
def test_no_path_leads_out(house: Path, parts: list[str]) -> None:
    roots = Roots([house / "allowed"])
    try:
        item = roots.item("/".join(parts))
    except UnreadableImage:
        return
    assert isinstance(item.content, Path)
    assert item.content.resolve().is_relative_to((house / "allowed").resolve())
