"""How long and how much memory it takes to find the series among N small DICOM files (100 a series).

python benchmarks/grouping.py 20000 [--json]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dualsight.engine.memory import peak_bytes
from dualsight.image import Series, Skipped, group, scan

A_SERIES = 100


def write_files(folder: Path, n: int) -> None:
    """`n` CT slices of 4 × 4, in shuffled order, a thousand in each sub-folder."""
    for number in range(n):
        series, k = divmod(number * 7919 % n, A_SERIES)
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = CTImageStorage
        dataset.StudyInstanceUID = f"1.2.{series // 4}"
        dataset.SeriesInstanceUID = f"1.2.{series // 4}.{series}"
        dataset.SOPInstanceUID = f"1.2.{series // 4}.{series}.{k}"
        dataset.InstanceNumber = k
        dataset.Modality = "CT"
        dataset.Rows = dataset.Columns = 4
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 7, 0, 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.PixelData = bytes(range(16))
        dataset["PixelData"].VR = "OB"
        into = folder / f"{number // 1000:04}"
        into.mkdir(exist_ok=True)
        pydicom.dcmwrite(into / f"{number:07}.dcm", dataset, enforce_file_format=True)


def peak_mb() -> float:
    """The most memory that this process has ever used."""
    return peak_bytes() / 2**20


def main() -> None:
    """Prints files a second, and how far the peak rose from the first series of a small folder."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    with tempfile.TemporaryDirectory() as name:
        small, folder = Path(name, "small"), Path(name, "all")
        for place, count in ((small, A_SERIES), (folder, n)):
            place.mkdir()
            write_files(place, count)
        list(group(scan(small), per="series"))  # imports
        before, started, n_series, n_files = peak_mb(), time.perf_counter(), 0, 0
        for found in group((item for item in scan(folder) if not isinstance(item, Skipped)), per="series"):
            assert isinstance(found, Series)
            n_series, n_files = n_series + 1, n_files + len(found.items)
        seconds = time.perf_counter() - started
    assert n_files == n
    figures = {
        "files": n,
        "series": n_series,
        "files_a_second": round(n / seconds),
        "peak_growth_mb": round(peak_mb() - before, 1),
    }
    if "--json" in sys.argv:
        print(json.dumps(figures))
    else:
        print("\n".join(f"{name:<16}{value:>10,}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
