from __future__ import annotations

import logging
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

from dualsight.errors import UnreadableImage
from dualsight.image.quiet import damage, quiet


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


def test_a_process_can_be_quiet_for_good() -> None:
    program = """
import logging, warnings
from dualsight.image.quiet import be_quiet, quiet
be_quiet()
with quiet():
    pass
assert not logging.getLogger("pydicom.pixels").isEnabledFor(logging.CRITICAL)
for module in ("pydicom.valuerep", "somebody.else"):
    warnings.warn_explicit(module, UserWarning, "there.py", 1, module=module)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "there.py:1: UserWarning: somebody.else\n"


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


def test_arithmetic_on_damaged_numbers_is_silent() -> None:
    """Found by fuzzing: an infinite spacing made numpy warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with damage("x.mha", "the header is damaged"):
            assert np.isnan(np.array([np.inf]) * 0.0).all()


def test_what_a_library_says_of_damage_is_left_out() -> None:
    with pytest.raises(UnreadableImage, match=r"^x: broken \(ValueError\)$") as raised, damage("x", "broken"):
        raise ValueError("Doe^Jane is no number")
    assert raised.value.__suppress_context__
