from __future__ import annotations

from importlib import metadata

import pytest

from dualsight.interface.cli import machine


def test_an_extra_without_its_package_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Package:
        metadata = metadata.PackagePath  # replaced below
        requires = ("numpy>=1", 'numpy>=1; extra == "here"', "no-such-package>=1; extra == 'gone'")

    class Headers:
        def get_all(self, name: str) -> list[str]:
            return ["here", "gone"] if name == "Provides-Extra" else []

    Package.metadata = Headers()
    real = metadata.distribution
    monkeypatch.setattr(machine.metadata, "distribution", lambda name: Package() if name == "dualsight" else real(name))
    here, gone = machine.extras()
    assert (here.name, here.installed, here.packages) == ("here", True, ("numpy",))
    assert (gone.installed, gone.packages) == (False, ("no-such-package",))
    assert gone.command == "pip install 'dualsight[gone]'"


def test_the_usual_encodings_can_be_decoded() -> None:
    codecs = machine.codecs()
    assert codecs["JPEG"]
    assert codecs["DICOM JPEG2000"]
    assert "gdcm" not in {name for names in codecs.values() for name in names}
