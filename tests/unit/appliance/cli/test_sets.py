"""`innervate set`, over the API, to a fake of the desk behind it; and `describe`, which asks nobody."""

import json
from pathlib import Path

import pytest

from appliance.api.fake import FakeApplication
from appliance.model.set_views import SetFaultView
from appliance.verbs import main
from tests.contract.registry import make_set
from tests.unit.appliance.cli.conftest import Run

NAME = "kubeadm-v1.20.2-amd64"


def test_the_list_says_whose_work_a_set_is(run: Run) -> None:
    status, told, _ = run("set", "list")
    assert status == 0
    assert f"{NAME}  rebuilt" in told
    assert "imports from /srv/sets" in told
    assert json.loads(run("set", "list", "--json")[1])["sets"][0]["provenance"] == "rebuilt"


def test_an_import_is_seen_through(application: FakeApplication, run: Run) -> None:
    status, told, _ = run("set", "import", "/srv/sets/k3s")
    assert status == 0
    assert "import of k3s: done" in told
    assert "k3s" in application.sets.held


def test_a_check_that_fails_says_why(application: FakeApplication, run: Run) -> None:
    fault = SetFaultView(code="incomplete", message="2 parts cannot be had", evidence="k8s/pause:3.2 \x1b[1msha256:aa")
    application.sets.fault = fault
    status, told, complaint = run("set", "check", NAME)
    assert status == 1
    assert "check of kubeadm-v1.20.2-amd64: failed" in told
    assert "k8s/pause:3.2 sha256:aa" in complaint


def test_what_is_begun_can_be_left_alone(application: FakeApplication, run: Run) -> None:
    status, told, _ = run("set", "remove", NAME, "--no-wait")
    assert status == 0
    assert "remove of kubeadm-v1.20.2-amd64: running" in told
    assert run("set", "check", NAME)[0] == 5, "another one is under way"
    assert run("set", "list")[0] == 0
    assert not application.sets.held


def test_a_set_that_is_not_there(run: Run) -> None:
    assert run("set", "check", "k3s-v1-amd64")[0] == 4
    assert run("set", "import", "/etc/passwd")[0] == 2


def test_a_folder_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_set(tmp_path / "set")
    words = ["set", "describe", str(tmp_path / "set"), "--engine", "kubeadm", "--version", "v1.20.2"]
    words += ["--provenance", "rebuilt"]
    assert main([*words, "kubelet=kubelet"]) == 0
    assert capsys.readouterr().out == f"{NAME}: 1 files, 2 images, rebuilt\n"
    assert json.loads((tmp_path / "set/set.json").read_text())["provenance"] == "rebuilt"
    assert main(words) == 2
    assert "do not agree" in capsys.readouterr().err
    assert main([*words, "kubelet"]) == 2
