"""What a file said about itself → what may leave the house: defined terms, measures, and hashes instead of names.

What stays, is hashed or goes follows the Basic Application Level Confidentiality Profile (PS3.15 annex E). Its table
E.1-1 has Study, Series and SOP Instance UID replaced (action U) and lists none of SOP Class UID, Modality, Body Part
Examined, View Position, Rows, Columns, Bits Stored, Pixel Spacing, Window Center and Width: these stay. Where such an
attribute is text, only the standard's own terms stay, because people write other things there.

A hash is an HMAC with SHA-256 and the user's key: the same name gives the same hash, so that what belongs together
still does, and without the key nobody can try out names until one fits.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dualsight.errors import ConfigError, ImageError
from dualsight.image.dicom.defined_terms import BODY_PARTS, MODALITIES, VIEWS
from dualsight.image.frame import FrameMeta

if TYPE_CHECKING:
    from dualsight.image.file_info import FileInfo

KEY = "DUALSIGHT_DEIDENTIFY_KEY"
KEY_FILE = "DUALSIGHT_DEIDENTIFY_KEY_FILE"
MIN_KEY_BYTES = 16

_HOW_TO = (
    'make one with `python -c "import secrets; print(secrets.token_hex(32))" > deidentify.key`, keep it where only you '
    f"can read it, and set {KEY_FILE} to its path"
)
_DICOM_ROOT = "1.2.840.10008."  # UIDs that the standard defines (PS3.5 9.1); any other root belongs to somebody
_NAME_DIGITS = 24  # 96 bits: among a billion names two alike are one chance in 10¹¹

# Numbers, and words that are dualsight's own.
KEPT = ("format", "window", "rows", "columns", "bits", "spacing_mm", "tile_origin", "note")
HASHED = ("study_instance_uid", "series_instance_uid", "sop_instance_uid")
TERMS = {"modality": MODALITIES, "body_part": BODY_PARTS, "view": VIEWS}


def read_key(environment: Mapping[str, str]) -> bytes:
    """The user's key, from the variable KEY or from the file that KEY_FILE names; a line end is not part of it.

    Raises ConfigError if there is none, both are set, the file cannot be read, or the key is under 16 bytes.
    """
    text, path = environment.get(KEY), environment.get(KEY_FILE)
    if text is not None and path is not None:
        raise ConfigError(f"both {KEY} and {KEY_FILE} are set", hint="unset one of them")
    if text is None and path is None:
        raise ConfigError("no key to de-identify with", hint=_HOW_TO)
    if path is not None:
        try:
            key = Path(path).read_bytes().rstrip(b"\r\n")
        except OSError as error:
            raise ConfigError(f"{KEY_FILE}: {path} cannot be read ({error.strerror})", hint=_HOW_TO) from None
    else:
        key = (text or "").encode("utf-8", "surrogateescape")
    if len(key) < MIN_KEY_BYTES:
        problem = f"the key to de-identify with is {len(key)} bytes long, and must have at least {MIN_KEY_BYTES}"
        raise ConfigError(problem, hint=_HOW_TO)
    return key


def deidentified(meta: FrameMeta, key: bytes) -> FrameMeta:
    """`meta` with KEPT as it is, the UIDs of instances hashed, and of its texts the defined terms; the rest is None."""
    safe: dict[str, Any] = {name: getattr(meta, name) for name in KEPT}
    safe |= {name: hashed_uid(uid, key) for name in HASHED if (uid := getattr(meta, name))}
    safe |= {name: _if_defined(getattr(meta, name), defined) for name, defined in TERMS.items()}
    safe["sop_class_uid"] = public_uid(meta.sop_class_uid, key)
    return FrameMeta(**safe)


def deidentified_info(info: FileInfo, key: bytes) -> FileInfo:
    """`info` under its file's hashed name, with `deidentified` metadata, and a prompt of what these say."""
    from dualsight.image.dicom.meta import prompt_words

    meta = deidentified(info.meta, key)
    return replace(
        info,
        source=hashed_name(info.source, key),
        meta=meta,
        prompt=prompt_words(meta),
        sop_class=public_uid(info.sop_class, key),
        transfer_syntax=public_uid(info.transfer_syntax, key),
    )


def hashed_uid(uid: str, key: bytes) -> str:
    """A valid UID of its own for each UID: a UUID's number under 2.25 (PS3.5 B.2), 122 of whose bits are the hash's."""
    return f"2.25.{uuid.UUID(bytes=_digest(b'uid', uid, key)[:16], version=4).int}"


def public_uid(uid_or_name: str | None, key: bytes) -> str | None:
    """A UID of the standard, or its name there; anybody else's UID hashed."""
    if uid_or_name and uid_or_name.replace(".", "").isdecimal() and not uid_or_name.startswith(_DICOM_ROOT):
        return hashed_uid(uid_or_name, key)
    return uid_or_name


def hashed_name(name: str, key: bytes) -> str:
    """What to call a file whose name or path may name a patient: `hmac-` and 24 hexadecimal digits."""
    return f"hmac-{_digest(b'name', name, key).hex()[:_NAME_DIGITS]}"


def deidentified_error(error: ImageError, key: bytes) -> ImageError:
    """The same error under its file's hashed name; what it says beside that comes from no file (see errors.py)."""
    name = hashed_name(error.source, key)
    return type(error)(error.problem, source=name, frame=error.frame, hint=error.hint)


def _digest(what: bytes, text: str, key: bytes) -> bytes:
    """[32]; `what` keeps a UID and a name of the same letters apart."""
    return hmac.digest(key, what + b"\0" + text.encode("utf-8", "surrogateescape"), hashlib.sha256)


def _if_defined(text: str | None, defined: frozenset[str]) -> str | None:
    """`text` if it is a defined term, however it is spaced and capitalised."""
    return text if text and "".join(text.split()).upper() in defined else None
