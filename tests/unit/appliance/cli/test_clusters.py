"""`innervate cluster`, over the API, to a fake of the desk behind it."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.api.fake import FakeApplication
from appliance.main import main
from appliance.model.cluster_views import ApiState, ClusterApiView, NodeWordView
from tests.unit.appliance.cli.conftest import Run


def test_the_list(application: FakeApplication, run: Run) -> None:
    status, told, _ = run("cluster", "list")
    assert status == 0
    assert told.splitlines()[-1].split() == [
        *("prod", "kubeadm", "v1.20.2", "(rebuilt)", "ready", "1", "of", "3", "https://10.77.0.2:6443", "degraded")
    ]
    assert json.loads(run("cluster", "list", "--json")[1])["clusters"][0]["name"] == "prod"
    assert json.loads(run("cluster", "list", "--ndjson")[1])["name"] == "prod"
    application.cluster_desk.held.clear()
    assert run("cluster", "list")[:2] == (0, "no clusters\n")


def test_one(run: Run) -> None:
    status, told, _ = run("cluster", "show", "prod")
    assert status == 0
    for line in (
        "prod: kubeadm v1.20.2 (rebuilt) at https://10.77.0.2:6443",
        "API: answers, and is ready, last asked 2027-01-15T08:00:00Z",
        "nodes ready: 1 of 3",
        "not ready, takes no pods",
        "container runtime is down",
        "balancer: prod-api to node-0 at 10.77.0.10:6443 serves",
        "requests refused: 2, the last 2027-01-15T07:59:00Z",
        "token: node-2 may join until 2027-01-15T08:15:00Z",
        "waits: join node-2 to the cluster prod as worker: it has begun",
    ):
        assert line in told
    assert json.loads(run("cluster", "show", "prod", "--json")[1])["api"]["state"] == "ready"
    assert run("cluster", "show", "nobody")[0] == 4


def test_one_that_does_not_answer(application: FakeApplication, run: Run) -> None:
    """Since when is said, and what a hostile cluster says is text."""
    held, prod = application.cluster_desk.held, application.cluster_desk.held["prod"]
    silent = ClusterApiView(
        state=ApiState.SILENT, lacks="no \x1b[31manswer", looked=1_800_000_000.0, silent_since=1_800_000_060.0
    )
    word = NodeWordView(ready=False, version="v1\x1b]0;x\x07", schedulable=True, why="a\nb\x9bc")
    held["prod"] = replace(prod, api=silent, ready=None, nodes=(replace(prod.nodes[0], said=word),))
    told = run("cluster", "show", "prod")[1]
    assert "API: does not answer since 2027-01-15T08:01:00Z, last answered 2027-01-15T08:00:00Z" in told
    assert "nodes ready: ? of 3" in told
    assert "lacks: no answer" in told
    assert not {"\x1b", "\x07", "\x9b"} & set(told)


def test_the_key_to_one(application: FakeApplication, run: Run, tmp_path: Path) -> None:
    config = application.cluster_desk.configs["prod"]
    assert run("cluster", "kubeconfig", "prod") == (0, config, "")
    file = tmp_path / "prod.conf"
    file.write_text("old")
    file.chmod(0o644)
    status, told, _ = run("cluster", "kubeconfig", "prod", "--output", str(file))
    assert (status, told) == (0, f"kubectl --kubeconfig {file} get nodes\n")
    assert file.read_text() == config
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run("cluster", "kubeconfig", "prod", "--output", str(tmp_path / "none/x"))[0] == 2
    application.cluster_desk.configs.clear()
    assert run("cluster", "kubeconfig", "prod")[0] == 5
    assert run("cluster", "kubeconfig", "nobody")[0] == 4


@pytest.mark.parametrize("words", [("list",), ("show", "prod"), ("kubeconfig", "prod")], ids=lambda words: words[0])
def test_no_daemon(words: tuple[str, ...], tmp_path: Path) -> None:
    assert main(["--socket", str(tmp_path / "none.sock"), "cluster", *words]) == 7
