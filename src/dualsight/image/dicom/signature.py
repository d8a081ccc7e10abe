"""Is this DICOM? Told from the first bytes, without pydicom."""

from __future__ import annotations

SIGNATURE_BYTES = 144  # what `is_dicom` wants to see of a file

# The data set of a file without preamble starts with group 0002 or 0008; PS3.5 7.1 gives the element's layout.
_FIRST_GROUPS = {b"\x02\x00": "little", b"\x08\x00": "little", b"\x00\x08": "big"}


def is_dicom(head: bytes) -> bool:
    """True for the first `SIGNATURE_BYTES` of a DICOM file, with its preamble (PS3.10 7.1) or without."""
    return head[128:132] == b"DICM" or headerless_start(head) is not None


def headerless_start(head: bytes) -> int | None:
    """Where the data set of a file without preamble begins: at byte 0, or 1 after a stray byte; None if nowhere."""
    return next((start for start in (0, 1) if _is_element(head[start : start + 12])), None)


def _is_element(head: bytes) -> bool:
    """True if a first data element can start here: a low element number, then a VR or a sane length."""
    order = _FIRST_GROUPS.get(head[:2])
    if order is None or len(head) < 12:
        return False
    element = int.from_bytes(head[2:4], "little" if order == "little" else "big")
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    length = int.from_bytes(head[4:8], "little")
    return element <= 0x0070 and (explicit or (order == "little" and length <= 0x400))
