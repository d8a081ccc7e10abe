"""The command line as people run it: real processes, their exit codes, and what they leave behind."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.e2e

COMMAND = (sys.executable, "-m", "dualsight")
# stdout is buffered, as it is for people: what cannot be written must not come up again at exit
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
LABELS = ("--labels", "pneumonia,no finding")
HEAVY = ("torch", "numpy", "pydicom", "pyarrow", "PIL", "transformers", "tokenizers", "huggingface_hub", "scipy")


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """A command that has ended, without a traceback."""
    command = [*COMMAND, *map(str, arguments)]
    done = subprocess.run(command, **{"env": ENVIRONMENT, **options}, capture_output=True, text=True, timeout=240)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def weights(recipe_folder: Callable[[str], Path]) -> Path:
    return recipe_folder("davit")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "one.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def endless(picture: Path, tmp_path: Path) -> Path:
    """A folder with a text, which is remarked upon, and more pictures than a test waits for."""
    folder = tmp_path / "endless"
    folder.mkdir()
    (folder / "0.txt").write_text("no picture")
    with ZipFile(folder / "1.zip", "w") as archive:
        for number in range(2_000):
            archive.write(picture, f"{number:05}.png")
    return folder


def cpu_seconds(*command: str) -> float:
    """User and system time of a process: what it costs, however busy the machine is."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_costs_little_more_than_python_itself() -> None:
    cpu_seconds(*COMMAND, "--help")  # compiles what is not compiled yet
    bare = min(cpu_seconds(sys.executable, "-c", "pass") for _ in range(3))
    assert min(cpu_seconds(*COMMAND, "--help") for _ in range(3)) - bare < 0.4


def test_importing_the_package_costs_next_to_nothing() -> None:
    bare = min(cpu_seconds(sys.executable, "-c", "pass") for _ in range(3))
    assert min(cpu_seconds(sys.executable, "-c", "import dualsight") for _ in range(3)) - bare < 0.3


def test_a_shell_completes_commands_options_and_choices() -> None:
    for words, place, expected in (
        ("dualsight cla", 1, "classify"),
        ("dualsight classify --win", 2, "--window"),
        ("dualsight embed --per ser", 3, "series"),
    ):
        asked = {"_DUALSIGHT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(place)}
        done = subprocess.run(
            [Path(sys.executable).with_name("dualsight")], env=ENVIRONMENT | asked, capture_output=True, text=True
        )
        assert done.stdout.split() == [expected], done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["classify", "--help"], ["--version"], ["classify", "a.png"]])
def test_nothing_heavy_is_imported_before_a_command_runs(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom dualsight.__main__ import main\n"
        f"sys.argv[1:] = {arguments}\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('heavy:', *(set(sys.modules) & set({HEAVY})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy:"


def test_data_on_stdout_and_a_bad_picture_alone(weights: Path, picture: Path) -> None:
    done = run("classify", picture, "nowhere.png", *LABELS, "--json", "--model", weights)
    assert done.returncode == 1
    good, bad = json.loads(done.stdout)["results"]
    assert sum(good["probabilities"].values()) == pytest.approx(1)
    assert bad["source"] == "nowhere.png"
    assert done.stderr.startswith("error: nowhere.png: ")


def test_no_colour_where_nobody_looks(weights: Path, picture: Path) -> None:
    environment = {**ENVIRONMENT, "NO_COLOR": "1"}
    done = run("classify", picture, "nowhere.png", *LABELS, "--model", weights, env=environment)
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 2),
        (("no-such-command",), 2),
        (("classify", "{picture}", "--model", "{weights}"), 2),
        (("classify", "{picture}", "--labels", "a,a", "--model", "{weights}"), 1),
        (("classify", "{picture}", "--labels", "a,b", "--template", "x-ray", "--model", "{weights}"), 1),
        (("classify", "{picture}", "--labels", "a,b", "--model", "{folder}"), 1),
        (("inspect", "{weights}", "--image", "{folder}"), 1),
        (("verify", "{picture}"), 1),
        (("embed", "{picture}", "-o", "{folder}/taken.npz", "--model", "{weights}"), 1),
        (("embed", "{folder}/empty", "-o", "{folder}/out.npz", "--model", "{weights}"), 1),
    ],
)
def test_a_users_mistake_is_told_in_words(
    weights: Path, picture: Path, tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken.npz").mkdir()
    words = [word.format(picture=picture, weights=weights, folder=tmp_path) for word in arguments]
    done = run(*words)
    assert done.returncode == code, done.stderr
    assert done.stdout == "" or code == 2 or arguments[0] == "verify"
    assert done.stderr


def test_ctrl_c_leaves_no_half_file(weights: Path, endless: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    command = [*COMMAND, "embed", str(endless), "-o", str(folder / "out.npz"), "--model", str(weights)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("skipped ")  # it is at work
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130
    assert (stdout, stderr) == ("", "interrupted\n")
    assert list(folder.iterdir()) == []


def test_ctrl_c_while_results_are_printed(weights: Path, endless: Path) -> None:
    command = [*COMMAND, "classify", str(endless), *LABELS, "--csv", "--model", str(weights)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        stderr = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "interrupted"
    assert "Traceback" not in stderr


def test_a_reader_that_leaves_is_no_error(weights: Path, endless: Path) -> None:
    command = [*COMMAND, "classify", str(endless), *LABELS, "--model", str(weights)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        stderr = process.stderr.read()
        process.wait(timeout=120)
    assert process.returncode == 141
    assert [line for line in stderr.splitlines() if not line.startswith("skipped ")] == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a system without /dev/full")
@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_a_full_disk_under_stdout(weights: Path, picture: Path, form: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "classify", str(picture), *LABELS, form, "--model", str(weights)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
    assert done.returncode == 1
    assert done.stderr == "error: output: No space left on device\n"


@pytest.mark.parametrize("suffix", ["npz", "parquet", "safetensors"])
def test_a_disk_that_is_full_half_way_leaves_no_half_file(
    weights: Path, picture: Path, tmp_path: Path, suffix: str
) -> None:
    """A limit on a file's size stands in for the disk: writing fails in the same call, with another number."""
    folder = tmp_path / "out"
    folder.mkdir()
    limit = 256  # bytes: less than two vectors with their names

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    environment = {**ENVIRONMENT, "PYTHONDONTWRITEBYTECODE": "1"}
    arguments = ("embed", picture, picture, "-o", folder / f"out.{suffix}", "--model", weights)
    done = run(*arguments, preexec_fn=small_disk, env=environment)
    assert done.returncode == 1
    assert f"error: {folder / f'out.{suffix}'}: cannot be written" in done.stderr
    assert list(folder.iterdir()) == []
