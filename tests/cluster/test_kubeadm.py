"""kubeadm on nodes that have nothing but Debian's packages and the artifact set: first, join, and a web page."""

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.kubernetes import node
from appliance.kubernetes.cluster import Cluster, Endpoint, Member, Registry, Ticket
from appliance.kubernetes.version import KubernetesVersion
from appliance.model.cluster import NodeRole
from appliance.model.secret import Secret
from appliance.services.shells import SshShells
from tests.cluster.conftest import Artifacts
from tests.cluster.nodes import CommandError, Ground, Node, ground, nodes
from tests.cluster.registry import FILES, REGISTRY, WEB, files, push, registry, write_web

# Every wait in it has a deadline of its own; this one is for building the set.
pytestmark = [pytest.mark.alone, pytest.mark.long, pytest.mark.timeout(2400)]
PLANE, WORKER = nodes("plane", "worker")
TICKET = Ticket(token=Secret("abcdef.0123456789abcdef"))
KUBECTL = ("kubectl", f"--kubeconfig={node.ADMIN}")
WEB_PORT = 30080
_READY_SECONDS = 240.0


def _cluster(artifacts: Artifacts, authority: str) -> Cluster:
    host, _, port = REGISTRY.partition(":")
    members = (
        Member(name=PLANE.name, address=PLANE.address, role=NodeRole.CONTROL_PLANE),
        Member(name=WORKER.name, address=WORKER.address, role=NodeRole.WORKER),
    )
    return Cluster(
        name="lab",
        version=KubernetesVersion.parse(artifacts.set.version),
        endpoint=Endpoint(host=str(PLANE.address)),
        registry=Registry(endpoint=Endpoint(host=host, port=int(port)), repository="k8s", authority=authority),
        members=members,
        tags={image.repository.rpartition("/")[2]: image.tag for image in artifacts.set.images},
    )


def _write(ground: Ground, machine: Node, wanted: Iterable[node.NodeFile]) -> None:
    for file in wanted:
        content = file.content.reveal() if isinstance(file.content, Secret) else file.content
        install = ("install", "-D", f"--mode={file.mode:o}", "/dev/stdin", file.path)
        ground.ssh(machine, *install, stdin=content.encode())


def _do(ground: Ground, machine: Node, commands: Iterable[node.Command]) -> None:
    for command in commands:
        ground.ssh(machine, *command.argv, seconds=command.seconds)


def _prepare(ground: Ground, machine: Node, cluster: Cluster, artifacts: Artifacts) -> None:
    ground.start(machine)
    _write(ground, machine, node.files(cluster))
    _do(ground, machine, (node.fetch(node.fetches(artifacts.set), FILES), *node.prepare(artifacts.set)))


class Lab:
    """The cluster of this module's tests, and what they ask it."""

    def __init__(self, made: Ground, cluster: Cluster) -> None:
        self.ground, self.cluster = made, cluster

    def kubectl(self, *words: str, stdin: bytes = b"") -> str:
        return self.ground.ssh(PLANE, *KUBECTL, *words, stdin=stdin)

    def objects(self, *words: str) -> list[Any]:
        found: list[Any] = json.loads(self.kubectl("get", *words, "-o", "json"))["items"]
        return found

    def page(self, machine: Node) -> str:
        """What the application says at that node's port; empty where nothing answers."""
        argv = [*self.ground.entered, "curl", "-sS", "--max-time", "3", f"http://{machine.address}:{WEB_PORT}/"]
        return subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False).stdout

    def until(self, holds: Callable[[], bool], *shown: str) -> None:
        """Raises AssertionError, with what kubectl says to `shown`, where it does not come to hold."""
        deadline = time.monotonic() + _READY_SECONDS
        while not holds():
            assert time.monotonic() < deadline, self.kubectl(*shown)
            time.sleep(0.5)


@pytest.fixture(scope="module")
def lab(artifacts: Artifacts, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("ground")
    write_web(folder / "web", "v1")
    with ExitStack() as stack:
        made = stack.enter_context(ground(folder, tree, (PLANE, WORKER)))
        cluster = _cluster(artifacts, stack.enter_context(registry(made)))
        stack.enter_context(files(made, artifacts.folder))
        push(made, artifacts.folder / "oci")
        push(made, folder / "web")
        with ThreadPoolExecutor() as both:
            list(both.map(lambda machine: _prepare(made, machine, cluster, artifacts), (PLANE, WORKER)))
        _form(made, cluster)
        yield Lab(made, cluster)


def _form(made: Ground, cluster: Cluster) -> None:
    """The cluster, by `kubeadm init` and `kubeadm join`."""
    plane, worker = cluster.members
    _write(made, PLANE, node.begin_files(cluster, plane, TICKET))
    _do(made, PLANE, node.begin(cluster))
    ticket = replace(TICKET, authority=made.ssh(PLANE, "cat", node.AUTHORITY))
    _write(made, WORKER, node.join_files(cluster, worker, ticket))
    _do(made, WORKER, node.join(cluster))


def test_the_products_shells_enter_nodes_as_they_do_machines(lab: Lab) -> None:
    with lab.ground.inside():
        said = SshShells(lab.ground.key).run(WORKER.address, "root", (lab.ground.host_key,), ("cat", "/proc/1/comm"))
    assert said == "systemd"


def test_every_node_becomes_ready(lab: Lab) -> None:
    lab.until(lambda: len(lab.objects("nodes")) == 2 and all(map(_is_ready, lab.objects("nodes"))), "describe", "nodes")
    shown = {one["metadata"]["name"]: one["status"]["nodeInfo"]["kubeletVersion"] for one in lab.objects("nodes")}
    assert shown == dict.fromkeys((PLANE.name, WORKER.name), str(lab.cluster.version))


def test_units_of_debian_and_of_ours_run_and_none_failed(lab: Lab) -> None:
    for machine in (PLANE, WORKER):
        units = ("containerd.service", "kubelet.service")
        assert lab.ground.ssh(machine, "systemctl", "is-active", *units).split() == ["active", "active"]
        assert lab.ground.ssh(machine, "systemctl", "list-units", "--failed", "--plain", "--no-legend") == ""


def test_an_application_of_the_registry_answers_on_every_node(lab: Lab) -> None:
    lab.kubectl("apply", "-f", "-", stdin=_application("v1").encode())
    lab.until(lambda: _is_available(lab), "describe", "pods")
    lab.until(
        lambda: all(lab.page(machine) == "web v1\n" for machine in (PLANE, WORKER)), "get", "pods,services,endpoints"
    )
    places = {pod["spec"]["nodeName"] for pod in lab.objects("pods", "--selector=app=web")}
    assert places == {WORKER.name}, "a control plane takes no application unless it is told to"


def test_what_was_done_may_be_done_again(lab: Lab, artifacts: Artifacts) -> None:
    before = lab.ground.ssh(WORKER, "sha256sum", *_files_of(lab.cluster))
    _write(lab.ground, WORKER, node.files(lab.cluster))
    _do(lab.ground, WORKER, (node.fetch(node.fetches(artifacts.set), FILES), *node.prepare(artifacts.set)))
    assert lab.ground.ssh(WORKER, "sha256sum", *_files_of(lab.cluster)) == before
    lab.until(lambda: all(map(_is_ready, lab.objects("nodes"))) and lab.page(WORKER) == "web v1\n", "get", "nodes")


def test_pods_go_on_while_a_nodes_services_start_again(lab: Lab) -> None:
    before = _restarts(lab)
    _do(lab.ground, WORKER, node.reload())
    lab.until(lambda: all(map(_is_ready, lab.objects("nodes"))) and lab.page(WORKER) == "web v1\n", "get", "nodes")
    assert _restarts(lab) == before


def _restarts(lab: Lab) -> dict[str, list[str]]:
    """The containers of each pod on the worker: another start is another id."""
    pods = lab.objects("pods", "--all-namespaces", f"--field-selector=spec.nodeName={WORKER.name}")
    return {pod["metadata"]["name"]: [one["containerID"] for one in pod["status"]["containerStatuses"]] for pod in pods}


@pytest.mark.long
def test_nodes_come_back_by_themselves_after_a_power_cut(lab: Lab) -> None:
    for machine in (WORKER, PLANE):
        lab.ground.cut(machine)
    for machine in (PLANE, WORKER):
        lab.ground.start(machine)
    lab.until(lambda: _answers(lab) and lab.page(PLANE) == "web v1\n", "get", "pods,nodes", "-o", "wide")


def _answers(lab: Lab) -> bool:
    """Does the API, and are all nodes ready?"""
    try:
        return all(map(_is_ready, lab.objects("nodes")))
    except CommandError:
        return False


def _files_of(cluster: Cluster) -> list[str]:
    return [file.path for file in node.files(cluster)]


def _is_ready(machine: Any) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in machine["status"]["conditions"])


def _is_available(lab: Lab) -> bool:
    return [one["status"].get("availableReplicas") for one in lab.objects("deployments")] == [2]


def _application(version: str) -> str:
    """Two of the web server, behind a port of every node."""
    labels = {"app": "web"}
    container = {
        "name": "web",
        "image": f"{REGISTRY}/{WEB}:{version}",
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "enableServiceLinks": False}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    }
    port = {"port": 80, "targetPort": 8080, "nodePort": WEB_PORT}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"type": "NodePort", "selector": labels, "ports": [port]},
    }
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [deployment, service]})
