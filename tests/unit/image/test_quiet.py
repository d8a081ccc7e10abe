from __future__ import annotations

import logging
import threading
import warnings

import pytest

from dualsight.image.quiet import quiet


def warn_as(module: str) -> None:
    warnings.warn_explicit("PatientName is odd", UserWarning, "there.py", 1, module=module)


def test_the_libraries_are_silent_inside_and_heard_again_outside() -> None:
    level = logging.getLogger("pydicom").level
    with quiet():
        warn_as("pydicom.valuerep")
        assert not logging.getLogger("pydicom.pixels").isEnabledFor(logging.CRITICAL)
    assert logging.getLogger("pydicom").level == level
    with pytest.warns(UserWarning, match="odd"):
        warn_as("pydicom.valuerep")


def test_other_code_is_heard_inside() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with quiet(), pytest.raises(UserWarning, match="odd"):
            warn_as("somebody.else")


def test_filters_are_restored_when_threads_leave_in_another_order_than_they_came() -> None:
    before = list(warnings.filters)
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with quiet():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with quiet():
        thread.start()
        assert entered.wait(10)
    assert list(warnings.filters) != before  # the other one is still inside
    leave.set()
    thread.join()
    assert list(warnings.filters) == before


def test_an_error_inside_restores_too() -> None:
    before = list(warnings.filters)
    with pytest.raises(ValueError, match="no"), quiet():
        raise ValueError("no")
    assert list(warnings.filters) == before
