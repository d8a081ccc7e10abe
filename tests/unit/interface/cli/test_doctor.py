from __future__ import annotations

import json

import torch

from dualsight import __version__


def test_json_and_text_tell_the_same(run, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = run("doctor", "--json")
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    assert facts["dualsight"] == __version__
    assert facts["torch"] == torch.__version__
    assert "cpu" in facts["devices"]
    assert facts["variables"]["HF_HUB_OFFLINE"] == "1"
    assert all(extra["command"].startswith("pip install 'dualsight[") for extra in facts["extras"])
    text = run("doctor").stdout
    for word in (__version__, torch.__version__, facts["engine"], facts["cache"], facts["demo"]["folder"], "JPEG"):
        assert word in text
