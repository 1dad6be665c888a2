"""What tools of others print. Debian's kustomize is asked in tests/image; helm is in no distribution: what is called
here in its name says what it was asked."""

import json
import os
from pathlib import Path

import pytest

from images.application.build import package
from images.errors import PackageError
from images.store import Store
from tests.packages import OFFLINE

HELM = """#!/bin/sh
echo "---"
echo "# Source: chart/templates/notice.yaml"
echo "apiVersion: v1"
echo "kind: ConfigMap"
echo "metadata: {name: notice}"
echo "data:"
for word in "$@"; do words="$words$word "; done
echo "  argv: '$words'"
echo "  interfaces: '$(ls /proc/self/net/dev_snmp6 2>/dev/null | tr '\\n' ' ')'"
"""


def source_of(folder: Path, stated: str) -> Path:
    folder.mkdir()
    (folder / "application.toml").write_text(f'name = "web"\nversion = "1.0.0"\n{stated}\n')
    return folder


def made(source: Path, tmp_path: Path) -> Path:
    described = package(source, tmp_path / "sets", Store(tmp_path / "store"), OFFLINE)
    return tmp_path / "sets" / described.name


@pytest.fixture
def helm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin/helm"
    program.parent.mkdir()
    program.write_text(HELM)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return program


def chart(folder: Path) -> Path:
    source = source_of(folder, 'helm = {chart = "chart", values = "site.yaml", kubernetes = "1.33.0"}')
    (source / "chart").mkdir()
    (source / "chart/Chart.yaml").write_text("apiVersion: v2\nname: web\nversion: 1.0.0\n")
    (source / "chart/values.schema.json").write_text('{"type": "object"}')
    (source / "site.yaml").write_text("replicas: 3\nname: web\n")
    return source


def test_a_chart_is_rendered_with_the_values_that_are_kept(helm: Path, tmp_path: Path) -> None:
    folder = made(chart(tmp_path / "source"), tmp_path)
    text = (folder / "manifests.yaml").read_text()
    assert "template web " in text
    for words in ("/source/chart --include-crds --skip-tests --values=", "/values.json --kube-version=1.33.0"):
        assert words in text
    assert json.loads((folder / "values.json").read_text()) == {"name": "web", "replicas": 3}
    assert (folder / "values.schema.json").read_text() == '{"type": "object"}'
    roles = {row["name"]: row["role"] for row in json.loads((folder / "set.json").read_text())["files"]}
    assert roles["values.json"] == "values"
    assert roles["values.schema.json"] == "values-schema"


def test_nothing_is_fetched_while_rendering(helm: Path, tmp_path: Path) -> None:
    text = (made(chart(tmp_path / "source"), tmp_path) / "manifests.yaml").read_text()
    assert 'interfaces: "lo "' in text or 'interfaces: ""' in text


def test_what_helm_refuses_is_said(helm: Path, tmp_path: Path) -> None:
    helm.write_text("#!/bin/sh\necho 'Error: values do not meet the schema: replicas' >&2\nexit 1\n")
    with pytest.raises(PackageError, match="helm renders nothing") as caught:
        made(chart(tmp_path / "source"), tmp_path)
    assert "values do not meet the schema" in caught.value.evidence


@pytest.mark.parametrize("tool", ["helm", "kustomize"])
def test_a_tool_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str) -> None:
    stated = {"helm": 'helm = {chart = "base"}', "kustomize": 'kustomize = "base"'}
    source = source_of(tmp_path / "source", stated[tool])
    (source / "base").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PackageError, match=f"{tool} is not on this machine") as caught:
        made(source, tmp_path)
    assert "as manifests" in caught.value.next_action
    assert not (tmp_path / "sets").exists()


def test_compose_and_units_are_one_application(tmp_path: Path) -> None:
    source = source_of(
        tmp_path / "source",
        'compose = "compose.yaml"\nquadlet = ["units/web.container"]\n'
        '[images.web]\ntree = "www"\nat = "/www"\ncommand = ["/x"]\n'
        '[smoke]\nservice = "web"\nport = 80',
    )
    (source / "www").mkdir()
    (source / "units").mkdir()
    (source / "compose.yaml").write_text("services:\n  web:\n    image: web\n    ports: ['80:8080']\n")
    (source / "units/web.container").write_text("[Container]\nImage=web\nPublishPort=80:8080\n")
    folder = made(source, tmp_path)
    assert "image: apps/web:1.0.0" in (folder / "manifests.yaml").read_text()
    assert "Image=apps/web:1.0.0" in (folder / "web.container").read_text()
    roles = {row["name"]: row["role"] for row in json.loads((folder / "set.json").read_text())["files"]}
    assert roles["web.container"] == "quadlet"


def test_units_alone_leave_the_manifests_empty(tmp_path: Path) -> None:
    source = source_of(tmp_path / "source", 'quadlet = ["data.volume"]')
    (source / "data.volume").write_text("[Volume]\n")
    assert (made(source, tmp_path) / "manifests.yaml").read_bytes() == b""
