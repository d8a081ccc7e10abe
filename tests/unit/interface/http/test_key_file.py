from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualsight.errors import ConfigError
from dualsight.interface.http.key_file import KeyFile, add_key, new_key, read_hashes, remove_key


def write(file: Path, **keys: str) -> Path:
    """The file, with these keys and no others."""
    file.unlink(missing_ok=True)
    for name, key in keys.items():
        file.write_text(add_key(file, name, key))
    return file


def test_a_key_is_known_by_its_name_and_not_written_down(tmp_path: Path) -> None:
    first, second = new_key(), new_key()
    file = write(tmp_path / "keys", ward7=first, ward8=second)
    keys = KeyFile(file)
    assert keys.name_of(first) == "ward7" and keys.name_of(second) == "ward8"
    assert first not in file.read_text()
    for wrong in ("", first[:-1], first + "=", first.lower(), "é" * 50, read_hashes(file)["ward7"]):
        assert keys.name_of(wrong) is None


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = write(tmp_path / "keys", old="a")
    keys = KeyFile(file)
    write(file, new="bb")
    assert keys.name_of("a") is None and keys.name_of("bb") == "new"


@pytest.mark.parametrize("damage", ["nonsense", "name sha256:12", b"\xff\xfe"])
def test_a_damaged_file_lets_nobody_in(tmp_path: Path, damage: str | bytes, caplog: pytest.LogCaptureFixture) -> None:
    file = write(tmp_path / "keys", one="a")
    keys = KeyFile(file)
    file.write_bytes(damage if isinstance(damage, bytes) else damage.encode())
    assert keys.name_of("a") is None
    assert "no key is accepted" in caplog.text
    file.unlink()
    assert keys.name_of("a") is None
    write(file, one="a")
    assert keys.name_of("a") == "one"


@pytest.mark.parametrize("text", ["", "# nothing\n", "a b", f"x sha256:{'0' * 64}\nx sha256:{'1' * 64}"])
def test_a_file_without_a_sound_key_starts_no_server(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(ConfigError):
        KeyFile(file)


@pytest.mark.parametrize("name", ["", "a b", "ward\n7", "x" * 65, "taken"])
def test_a_name_is_a_name(tmp_path: Path, name: str) -> None:
    file = write(tmp_path / "keys", taken="x")
    with pytest.raises(ConfigError):
        add_key(file, name, "key")


@given(st.dictionaries(st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True), st.text(min_size=1), max_size=5))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, str]) -> None:
    encodable = {name: key.encode("utf-8", "replace").decode() for name, key in keys.items()}
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.touch()
    for name, key in encodable.items():
        file.write_text(add_key(file, name, key))
    hashes = {name: hashlib.sha256(key.encode()).hexdigest() for name, key in encodable.items()}
    assert read_hashes(file) == hashes


@pytest.mark.parametrize("last", ["", "# the end", "# the end\n"])
def test_other_lines_stay_as_they_are(tmp_path: Path, last: str) -> None:
    file = tmp_path / "keys"
    old = f"# of the ward, until May\r\nold\tsha256:{'0' * 64}\n\n  # old: ask J.\n{last}"
    file.write_bytes(old.encode())
    file.write_bytes(add_key(file, "new", "key").encode())
    assert file.read_bytes().decode().startswith(old) and list(read_hashes(file)) == ["old", "new"]
    file.write_bytes(remove_key(file, "old").encode())
    kept = [line for line in old.splitlines() if "sha256" not in line]
    assert file.read_text().splitlines()[:-1] == kept and list(read_hashes(file)) == ["new"]


def test_what_is_not_there_cannot_be_taken_back(tmp_path: Path) -> None:
    file = write(tmp_path / "keys", one="a")
    for name, place in (("two", file), ("one", tmp_path / "nowhere")):
        with pytest.raises(ConfigError):
            remove_key(place, name)


def test_keys_are_made_and_checked_without_the_server_s_libraries() -> None:
    code = "import sys, dualsight.interface.http.key_file; print({'starlette', 'fastapi', 'uvicorn'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
