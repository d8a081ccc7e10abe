"""Ten ways to get it wrong as a new user. Each ends in one clear line, and leaves nothing half-written.

Missing files, folders in place of files, wrong labels, no weights, old weights, a full disk, a cache that cannot be
written, Ctrl-C, a missing extra, a port in use. More of them, with other weights: tests/e2e/test_cli.py.
"""

from __future__ import annotations

import csv
import os
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from dualsight.interface.cli.app import app
from hub_stand_in import StandIn as HubStandIn
from hub_stand_in import serving as hub

DEMO = Path(sys.modules["dualsight"].__path__[0]) / "checkpoint/demo"
CT = Path(__file__).parents[2] / "samples/real/ct-spine.dcm"
AT_WORK = "demonstration model"  # what is said once the model is loaded
pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory: a picture, a table of labelled ones, an empty folder, and files that are something else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUALSIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    Path("cache").mkdir()
    Path("empty").mkdir()
    Path("text.txt").write_text("hello\n")
    Path("noise").write_bytes(np.random.default_rng(0).bytes(3_000))
    pictures(Path("many"), 2)
    shutil.copyfile("many/0.png", "one.png")
    shutil.copyfile(CT, "ct.dcm")
    return tmp_path


def pictures(folder: Path, n: int) -> None:
    """Small pictures, and a table that calls every second one odd."""
    folder.mkdir()
    noise = np.random.default_rng(1)
    with (folder / "table.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "patient", "split"])
        for number in range(n):
            Image.fromarray(noise.integers(0, 256, (64, 64, 3), np.uint8)).save(folder / f"{number}.png")
            table.writerow(
                [f"{number}.png", "odd" if number % 2 else "even", number, ("train", "test")[number % 4 // 2]]
            )


def everything() -> set[str]:
    """What lies in the working directory, but for the cache."""
    return {str(path) for path in Path().rglob("*") if path.parts[0] != "cache"}


def told(command: str) -> str:
    """What the command says on stderr, having failed in words and left nothing behind."""
    before = everything()
    done = CliRunner().invoke(app, shlex.split(command))
    assert isinstance(done.exception, SystemExit), (done.exception, done.output)
    assert done.exit_code in (1, 2), done.output
    assert everything() == before
    return clear(done.stderr)


def clear(stderr: str) -> str:
    """The lines that say what is wrong. There are one or two: of the picture, and of all of them."""
    lines = stderr.splitlines()
    errors = [line for line in lines if line.lower().startswith("error: ")]
    assert 1 <= len(errors) <= 2, stderr
    assert "Traceback" not in stderr
    assert not [line for line in lines if "Error)" in line], "a Python word for what is wrong"
    return "\n".join(line for line in lines if AT_WORK not in line)


READERS = """
classify {} --labels a,b
embed {} -o v.npz
similarity --image {} --text a
image info {}
image show {} -o s.png
explain {} --labels a,b
inspect demo --image {}
inspect {}
verify {}
qc outliers {} --reference one.png
qc outliers one.png --reference {}
qc duplicates {}
qc exam one.png --reference {}
evaluate {} -o report
adapt train {} --kind linear -o a.safetensors
adapt predict one.png --adapter {}
train {}
index info --db {}
search {} --text a
search-evaluate {} --label-column a
quantize {} -o q
quantize demo -o q --calibrate {}
classify one.png --labels-file {}
index add --texts {} --db made.db
classify one.png --labels a,b --thresholds {}
classify one.png --labels a,b --model {}
serve --keys {} --port 0
serve --adapter {} --port 0
serve --tls-cert {} --tls-key {} --port 0
keys list --keys {}
doctor --explain-engine {}
""".strip().splitlines()


@pytest.mark.parametrize("command", READERS)
def test_a_missing_file(command: str) -> None:
    said = told(command.replace("{}", "nowhere.png"))
    assert "nowhere.png" in said or "no picture" in said


@pytest.mark.parametrize("command", READERS)
def test_a_folder_in_place_of_a_file(command: str) -> None:
    said = told(command.replace("{}", "empty"))
    assert "empty" in said or "no pictures found" in said or "0 pictures" in said


@pytest.mark.parametrize(
    "command",
    [
        "embed one.png -o {}",
        "image show one.png -o {}",
        "explain one.png --labels a,b -o {}",
        "adapt train many/table.csv --kind linear -o {}",
        "index export --db empty -o {}",
        "inspect demo --image one.png --attention {}",
        "inspect demo --image one.png --html {}",
    ],
)
def test_a_folder_in_place_of_the_result(command: str) -> None:
    assert "empty" in told(command.format("empty"))


@pytest.mark.parametrize(
    "command",
    [
        "phantom -o {}",
        "demo -o {}",
        "quantize demo -o {}",
        "index add one.png --db {}",
        "evaluate many/table.csv -o {} --model nowhere",
    ],
)
def test_a_file_in_place_of_the_results_folder(command: str) -> None:
    assert "text.txt" in told(command.format("text.txt"))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("classify one.png", "--labels"),
        ("classify one.png --labels ,", "blank"),
        ("classify one.png --labels a,a", "twice"),
        ("classify one.png --labels a,b --template x-ray", "{label}"),
        ("explain one.png --labels a --against a", "itself"),
        ("explain one.png", "--labels"),
        ("evaluate many/table.csv -o report --label-column finding", "no column `finding`"),
        ("evaluate many/table.csv -o report --method adapter", "--adapter"),
        ("adapt train many/table.csv --kind linear -o a.safetensors", "only the split train"),
        ("adapt train text.txt --kind linear -o a.safetensors", "no column `path`"),
        ("search-evaluate empty --label-column finding", "no index"),
    ],
)
def test_wrong_labels(command: str, said: str) -> None:
    assert said in told(command)


@pytest.fixture
def pickled() -> Path:
    """A checkpoint as they were once: its weights are a pickle."""
    folder = Path("pickled/vision_model")
    folder.mkdir(parents=True)
    shutil.copyfile(DEMO / "config.yaml", "pickled/config.yaml")
    (folder / "medimageinsigt-v1.0.0.pt").write_bytes(b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01s.")
    return folder.parent


@pytest.mark.parametrize(
    "command", ["classify one.png --labels a,b --model", "inspect", "quantize -o q", "serve --port 0 --model"]
)
def test_old_weights_are_not_unpickled(pickled: Path, command: str) -> None:
    assert "pickle" in told(f"{command} {pickled}")


def test_weights_of_another_size() -> None:
    Path("other").mkdir()
    shutil.copyfile(DEMO / "model.safetensors", "other/model.safetensors")
    text = (DEMO / "config.yaml").read_text()
    Path("other/config.yaml").write_text(text.replace("DIM_EMBED: [32, 64, 128, 256]", "DIM_EMBED: [32, 64, 128, 512]"))
    assert text != Path("other/config.yaml").read_text()
    assert "convs.3" in told("classify one.png --labels a,b --model other")


def test_what_was_made_with_another_model(recipe_folder: Callable[[str], Path]) -> None:
    other = recipe_folder("davit")
    pictures(Path("labelled"), 8)
    for command in (
        f"index add one.png --db made.db --model {other}",
        f"adapt train labelled/table.csv --kind knn -o made.safetensors --model {other}",
        f"embed labelled/table.csv -o made.npz --model {other}",
    ):
        assert CliRunner().invoke(app, shlex.split(command)).exit_code == 0
    for command in (
        "search made.db --text a",
        "adapt predict one.png --adapter made.safetensors",
        "adapt train labelled/table.csv --kind knn --embeddings made.npz -o a.safetensors",
        "evaluate labelled/table.csv --embeddings made.npz -o report",
        "serve --adapter made.safetensors --port 0",
    ):
        assert "model" in told(command)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond a kilobyte and a half: writing fails as on a full disk, with another number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "command",
    [
        "embed many -o v.npz",
        "image show one.png -o s.png",
        "explain one.png --labels a,b --method grad-cam -o s.png",
        "explain one.png --labels a,b --method grad-cam -o s.npz",
        "explain ct.dcm --labels a,b --method grad-cam -o s.dcm",
        "inspect demo --image one.png --html walk.html",
        "inspect demo --image one.png --attention s.png",
        "adapt train labelled/table.csv --kind linear -o a.safetensors",
        "search made.db --image one.png --sheet s.png",
        "index map --db made.db -o map.html",
        "index export --db made.db -o v.parquet",
        "quantize demo -o q --pictures 8",
    ],
)
def test_a_full_disk(command: str) -> None:
    pictures(Path("labelled"), 8)
    if "made.db" in command:
        assert CliRunner().invoke(app, ["index", "add", "labelled", "--db", "made.db"]).exit_code == 0
    with full_disk():
        said = told(command)
    assert "cannot be written" in said


@pytest.mark.parametrize("command", ["phantom -o made -n 3", "demo -o made", "evaluate labelled/table.csv -o made"])
def test_a_full_disk_under_a_folder_of_results(command: str) -> None:
    """The folder itself may be there; what is in it is whole."""
    pictures(Path("labelled"), 8)
    Path("made").mkdir()
    with full_disk():
        said = told(command)
    assert "cannot be written" in said


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUALSIGHT_CACHE", "text.txt/cache")
    assert "DUALSIGHT_CACHE" in told("embed one.png -o v.npz --engine openvino")
    assert CliRunner().invoke(app, ["embed", "one.png", "-o", "v.npz"]).exit_code == 0  # where none is needed


def test_a_hubs_cache_that_cannot_be_written() -> None:
    files = {name: (DEMO / name).read_bytes() for name in ("config.yaml", "model.safetensors")}
    with hub(HubStandIn("owner/name", files)) as server:
        done = process("pull", "owner/name", HF_HUB_CACHE="text.txt/hub", HF_ENDPOINT=server.url)
        _, stderr = done.communicate(timeout=120)
    assert done.returncode == 1
    assert "text.txt" in clear(stderr)


@pytest.mark.parametrize("command", ["serve", "mcp --http", "ui"])
def test_a_port_in_use(command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = told(f"{command} --port {port}")
    assert str(port) in said
    assert "--port 0" in said


@pytest.mark.parametrize(
    ("library", "extra", "command"),
    [
        ("lancedb", "search", "index add one.png --db empty/db"),
        ("fastapi", "serve", "serve --port 0"),
        ("mcp", "mcp", "mcp"),
        ("gradio", "ui", "ui --port 0"),
        ("sklearn", "learn", "adapt train many/table.csv --kind linear -o a.safetensors"),
        ("sklearn", "learn", "adapt predict one.png --adapter text.txt"),
        ("sklearn", "learn", "evaluate many/table.csv -o report"),
        ("openvino", "openvino", "embed one.png -o v.npz --engine openvino"),
        ("nncf", "quantize", "quantize demo -o q"),
        ("httpx2", "dicomweb", "embed dicomweb+http://127.0.0.1:9/x -o v.npz"),
        ("peft", "train", "train lora.yaml"),
    ],
)
def test_a_missing_extra(library: str, extra: str, command: str) -> None:
    Path("lora.yaml").write_text("{train: {manifest: many/table.csv}, output: tuned, lora: {rank: 2}, workers: 0}")
    before = everything()
    done = process(*shlex.split(command), without=library)
    stdout, stderr = done.communicate(timeout=120)
    assert done.returncode == 1, stderr
    assert stdout == ""
    assert f"pip install 'dualsight[{extra}]'" in clear(stderr).replace('"', "'")
    assert everything() == before


def process(*command: str, without: str = "", **environment: str) -> subprocess.Popen[str]:
    """`dualsight` as a process, in which a library is not installed."""
    code = "import sys\nsys.modules.update({name: None for name in sys.argv.pop(1).split()})\n"
    code += "from dualsight.__main__ import main\nmain()\n"
    return subprocess.Popen(
        [sys.executable, "-c", code, without, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    "command",
    [
        "demo -o made",
        "classify endless --labels a,b",
        "embed endless -o made/v.npz",
        "index add endless --db made/db",
        "evaluate endless/table.csv -o made",
        "adapt train endless/table.csv --kind mlp -o made/a.safetensors",
        "adapt predict endless --adapter knn.safetensors",
        "qc outliers endless --reference endless",
        "qc duplicates endless",
        "explain one.png --labels a,b --method rise -o made/s.png",
    ],
)
def test_ctrl_c_at_work(command: str) -> None:
    pictures(Path("endless"), 400)
    Path("made").mkdir()
    if "knn" in command:
        learn = "adapt train endless/table.csv --kind knn -o knn.safetensors"
        assert CliRunner().invoke(app, shlex.split(learn)).exit_code == 0
    running = process(*shlex.split(command))
    assert running.stderr is not None
    assert AT_WORK in running.stderr.readline()
    interrupted(running)
    left = {path.name for path in Path("made").iterdir()} - {"db"}  # of an index whole commits are kept
    assert left == set()


def test_ctrl_c_while_phantoms_are_drawn() -> None:
    running = process("phantom", "-o", "made", "-n", "100000")
    while not (drawn := list(Path("made").glob("*.png"))) and running.poll() is None:
        signal.sigtimedwait([], 0.01)
    assert drawn
    interrupted(running)
    assert not list(Path("made").glob(".*")) and not Path("made/captions.csv").exists()
    for file in Path("made").iterdir():
        Image.open(file).load()


@pytest.mark.parametrize(
    "command",
    [
        "pull owner/name -o made",
        "embed dicomweb+http://127.0.0.1:{port}/x -o made/v.npz",
        "quantize demo -o made/q --calibrate dicomweb+http://127.0.0.1:{port}/x",
    ],
)
def test_ctrl_c_while_a_server_is_silent(command: str) -> None:
    Path("made").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        running = process(
            *shlex.split(command.format(port=port)), HF_ENDPOINT=f"http://127.0.0.1:{port}", HF_HOME="cache"
        )
        silent.settimeout(120)
        with silent.accept()[0]:
            interrupted(running)
    assert not [path for path in Path("made").rglob("*") if path.is_file() and ".cache" not in path.parts]


@pytest.mark.parametrize(
    ("command", "ready"),
    [
        ("serve --port 0", '"url"'),
        ("ui --port 0", '"url"'),
        ("mcp", "no folder may be read"),
        ("mcp --http --port 0", "listening"),
    ],
)
def test_ctrl_c_ends_a_server(command: str, ready: str) -> None:
    running = process(*shlex.split(command))
    assert running.stderr is not None
    assert any(ready in line for line in running.stderr)
    interrupted(running)


def interrupted(running: subprocess.Popen[str]) -> None:
    """Ctrl-C, and an end in a word."""
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=120)
    assert running.returncode == 130, stderr
    assert stderr.splitlines()[-1] == "interrupted"
    assert "Traceback" not in stderr
