"""schemathesis on the OpenAPI document of a running server: what it says is what is done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import dualsight
from server_process import serving

pytestmark = pytest.mark.e2e

SAMPLES = Path(__file__).parents[2] / "samples/real"

# A picture, label or filter that is text by the schema may still be none: 422. Another model's name is not there: 404.
# A limit is a limit: 413. That a row has as many cells as there are columns, that something is looked for or compared,
# and that one picture is explained, in a form or not, is nothing that JSON Schema can say; nor how long a vector is.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = [200, 404, 413, 415, 422]

[[operations]]
include-path-regex = "^/(score|v1/similarity|v1/search|v1/explain|v1/embeddings)$"
[operations.checks.positive_data_acceptance]
expected-statuses = [200, 400, 404, 413, 415, 422]
"""


def test_no_failure(tmp_path: Path) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    index = dualsight.Index.open(tmp_path / "db")
    index.add(SAMPLES, texts=["x-ray chest"])
    with serving("--db", index.folder) as server:
        command = [Path(sys.executable).with_name("schemathesis"), "--config-file", config, "run"]
        options = ["--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--seed", "1", "--no-color"]
        result = subprocess.run(
            [*command, f"{server.url}/openapi.json", *options],
            capture_output=True,
            text=True,
            timeout=240,
            cwd=tmp_path,
        )
        assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
        assert not [line for line in server.lines if line["level"] == "error"]
