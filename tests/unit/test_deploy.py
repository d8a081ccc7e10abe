"""deploy/ says what the server does: its options, probes, times and folders are there."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from command_tree import commands
from dualsight.interface.http.keys import OPEN_PATHS
from dualsight.interface.http.limits import ServerLimits
from dualsight.interface.http.run import DRAIN_S

ROOT = Path(__file__).parents[2]
CONTAINERFILE = (ROOT / "deploy/Containerfile").read_text()


@pytest.fixture(scope="module")
def pod() -> dict[str, Any]:
    deployment, _ = yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text())
    pod: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return pod


@pytest.fixture(scope="module")
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod["containers"]
    return container


def options_of_serve() -> set[str]:
    (serve,) = (command for command in commands() if command.name == "serve")
    return {name for option in serve.options for name in option.opts}


def entry_point() -> list[str]:
    (line,) = re.findall(r"^ENTRYPOINT (.*)$", CONTAINERFILE, re.MULTILINE)
    words: list[str] = json.loads(line)
    return words


def test_the_options_exist(container: dict[str, Any]) -> None:
    assert entry_point()[:2] == ["dualsight", "serve"]
    used = {word for word in (*entry_point(), *container["args"]) if word.startswith("--")}
    assert {"--keys", "--model", "--host"} <= used <= options_of_serve()


def test_probes_need_no_key_and_ask_the_port_that_is_listened_on(container: dict[str, Any]) -> None:
    (port,) = container["ports"]
    assert f"EXPOSE {port['containerPort']}\n" in CONTAINERFILE
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] in OPEN_PATHS and container[probe]["httpGet"]["port"] == port["name"]


def test_a_pod_has_time_to_answer_what_it_has_accepted(pod: dict[str, Any], container: dict[str, Any]) -> None:
    _, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert pod["terminationGracePeriodSeconds"] >= int(seconds) + ServerLimits().deadline_s + DRAIN_S


def test_what_is_named_is_mounted_and_nothing_else_is_written(pod: dict[str, Any], container: dict[str, Any]) -> None:
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    for word in container["args"]:
        if word.startswith("/"):
            assert [mount for path, mount in mounts.items() if Path(word).is_relative_to(path) and mount["readOnly"]]
    assert {mount["name"] for mount in mounts.values()} == {volume["name"] for volume in pod["volumes"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] and pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_image_is_made_of_what_is_here_and_runs_as_nobody_s_user(pod: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in re.findall(r"/src\[(.*)\]", CONTAINERFILE):
        assert extra in project["optional-dependencies"]
    for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", CONTAINERFILE, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
    (user,) = re.findall(r"^USER (\d+)$", CONTAINERFILE, re.MULTILINE)
    assert int(user) == pod["securityContext"]["runAsUser"] > 0
    needed = {project["readme"], *project["license-files"], "pyproject.toml", "src"}
    assert needed <= set(re.findall(r"[\w./]+", CONTAINERFILE))
