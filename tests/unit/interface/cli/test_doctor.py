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


def test_it_explains_the_engine(run, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("DUALSIGHT_CACHE", str(tmp_path))
    facts = json.loads(run("doctor", "--explain-engine", "demo", "--json").stdout)
    text = run("doctor", "--explain-engine", "demo").stdout
    for precision in ("exact", "fast"):
        assert facts[precision]["engine"] in text
        assert facts[precision]["reasons"][0] in text
    assert "float32" in facts["exact"]["engine"]
