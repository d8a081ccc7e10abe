from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import UID, CTImageStorage

from dualsight.errors import ConfigError, ImageTooLarge
from dualsight.image.deidentify import (
    HASHED,
    KEPT,
    KEY,
    KEY_FILE,
    TERMS,
    deidentified,
    deidentified_error,
    hashed_name,
    hashed_uid,
    read_key,
)
from dualsight.image.dicom import meta as dicom_meta
from dualsight.image.dicom.defined_terms import BODY_PARTS, MODALITIES, VIEWS
from dualsight.image.frame import FrameMeta

OURS, THEIRS = b"k" * 32, b"K" * 32
META = FrameMeta(
    format="DICOM",
    modality="CT",
    body_part="CHEST",
    view="AP",
    window="header window, centre 40, width 400",
    rows=512,
    columns=256,
    bits=12,
    spacing_mm=(0.7, 0.7),
    tile_origin=(0, 480),
    study_instance_uid="1.2.3",
    series_instance_uid="1.2.3.4",
    sop_instance_uid="1.2.3.4.5",
    sop_class_uid=CTImageStorage,
    note="no DICOM meta header",
)


def test_measures_and_defined_terms_stay_and_instance_uids_become_others() -> None:
    safe = deidentified(META, OURS)
    uids = {name: getattr(safe, name) for name in HASHED}
    assert replace(META, **uids) == safe
    assert len({*uids.values(), "1.2.3", "1.2.3.4", "1.2.3.4.5"}) == 6


def test_every_attribute_is_decided_upon() -> None:
    """A new one goes, until somebody says that it may stay."""
    assert {f.name for f in fields(FrameMeta)} == {*KEPT, *HASHED, *TERMS, "sop_class_uid"}
    assert None not in [getattr(META, f.name) for f in fields(FrameMeta)]


@pytest.mark.parametrize("name", TERMS)
def test_text_that_is_no_defined_term_goes(name: str) -> None:
    assert getattr(deidentified(replace(META, **{name: "DOE JANE"}), OURS), name) is None
    assert getattr(deidentified(replace(META, **{name: None}), OURS), name) is None


def test_terms_are_known_however_they_are_spaced() -> None:
    assert deidentified(replace(META, body_part="Whole Body", view="axial"), OURS).body_part == "Whole Body"


def test_what_gives_a_prompt_its_words_is_a_defined_term() -> None:
    assert set(dicom_meta._MODALITIES) <= MODALITIES
    assert set(dicom_meta._VIEWS) <= VIEWS
    assert set(dicom_meta._BODY_PARTS) <= BODY_PARTS


def test_a_private_sop_class_is_hashed_because_its_root_is_somebodys() -> None:
    assert deidentified(replace(META, sop_class_uid="1.3.46.670589.11"), OURS).sop_class_uid == hashed_uid(
        "1.3.46.670589.11", OURS
    )


def test_empty_meta_stays_empty() -> None:
    assert deidentified(FrameMeta(), OURS) == FrameMeta()


@settings(max_examples=100)
@given(st.from_regex(r"[0-9.]{1,64}", fullmatch=True))
def test_a_hashed_uid_is_a_valid_uid_of_a_uuid(uid: str) -> None:
    hashed = hashed_uid(uid, OURS)
    assert UID(hashed).is_valid and hashed.startswith("2.25.") and hashed != uid


def test_one_key_gives_one_hash_and_another_key_another() -> None:
    assert hashed_uid("1.2", OURS) == hashed_uid("1.2", OURS) != hashed_uid("1.2", THEIRS)
    assert hashed_name("1.2", OURS) == hashed_name("1.2", OURS) != hashed_name("1.2", THEIRS)


def test_hashes_are_the_same_in_every_release() -> None:
    """What was written with a key last year has to meet what is written with it today."""
    assert hashed_name("1.2", OURS) == "hmac-ca1ce927f9eb8b3318219a54"
    assert hashed_uid("1.2", OURS) == "2.25.209372691836068303858471431421947696725"


def test_names_that_are_no_valid_text_have_a_hash_too() -> None:
    assert hashed_name("doe\udcff.dcm", OURS) != hashed_name("doe\udcfe.dcm", OURS)


def test_an_error_keeps_its_type_its_frame_and_its_cause() -> None:
    error = ImageTooLarge("too large", source="doe/jane.dcm", frame=3, hint="pass larger Limits")
    safe = deidentified_error(error, OURS)
    assert type(safe) is ImageTooLarge and safe.hint == "pass larger Limits"
    assert str(safe) == f"{hashed_name('doe/jane.dcm', OURS)}, frame 3: too large"


# --- the key


def test_the_key_is_a_variable_or_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"0123456789abcdef\r\n")
    assert read_key({KEY: "0123456789abcdef"}) == read_key({KEY_FILE: str(path)}) == b"0123456789abcdef"


def test_a_missing_key_is_told_with_how_to_make_one() -> None:
    with pytest.raises(ConfigError, match="no key to de-identify with") as raised:
        read_key({})
    assert "secrets.token_hex(32)" in raised.value.hint and KEY_FILE in raised.value.hint


@pytest.mark.parametrize("key", ["", "short-secret"])
def test_a_short_key_is_refused_and_not_repeated(key: str, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(key + "\n")
    for environment in ({KEY: key}, {KEY_FILE: str(path)}):
        with pytest.raises(ConfigError, match=f"is {len(key)} bytes long, and must have at least 16") as raised:
            read_key(environment)
        assert "short-secret" not in str(raised.value) + raised.value.hint


def test_two_keys_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"both {KEY} and {KEY_FILE} are set"):
        read_key({KEY: "0123456789abcdef", KEY_FILE: str(tmp_path)})


def test_a_key_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"lost\.key cannot be read"):
        read_key({KEY_FILE: str(tmp_path / "lost.key")})
