"""What nodes of k3s and RKE2 are told: files, order, and what stays secret."""

import json
import subprocess
from dataclasses import replace
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from appliance.errors import SiteError
from appliance.kubernetes import rancher_life
from appliance.kubernetes.cluster import Ticket
from appliance.kubernetes.etcd import read_snapshot
from appliance.kubernetes.flavour import K3S, RKE2, Flavour
from appliance.kubernetes.protocol import NodeEngine
from appliance.kubernetes.rancher import Rancher
from appliance.kubernetes.version import KubernetesVersion
from appliance.model.balancer import HttpsCheck
from appliance.model.cluster import (
    ClusterName,
    ClusterSpec,
    FoundCluster,
    JoinCluster,
    NodeRole,
    PrepareNode,
    ResetNode,
    RestoreCluster,
    SetRef,
    ShareEndpoint,
    UpgradeNode,
)
from appliance.model.ids import MachineName
from appliance.model.secret import Secret
from appliance.nodes.job import Job, script
from images.artifact_set import ArtifactSet, Provenance, SetFile

PEM = "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n"
ONE, TWO, ADDRESS = MachineName("one"), MachineName("two"), IPv4Address("10.77.0.11")
TICKET = Ticket(token=Secret("abcdef.0123456789abcdef"), authority=PEM)
PLANE, WORKER = NodeRole.CONTROL_PLANE, NodeRole.WORKER
FILES = ("k3s", "rke2", "images", "package")
SPEC = ClusterSpec(
    name=ClusterName("prod"),
    set=SetRef(name="set", engine=K3S.engine, version="v1.33.4+k3s1", sha256="a" * 64),
    endpoint=IPv4Address("10.77.0.2"),
    registry="10.77.0.1:5000",
    pods=IPv4Network("10.244.0.0/16"),
    services=IPv4Network("10.96.0.0/16"),
    names=("prod.lab.test",),
    router=7,
)


def made(flavour: Flavour, *roles: str) -> ArtifactSet:
    files = tuple(SetFile(name=f"the-{role}", role=role, size=1, sha256="ab" * 32) for role in roles)
    return ArtifactSet(
        engine=flavour.engine,
        version="v1.33.4+k3s1",
        arch="amd64",
        provenance=Provenance.GENUINE,
        files=files,
        images=(),
    )


def engine(flavour: Flavour = K3S, roles: tuple[str, ...] = FILES) -> Rancher:
    return Rancher(flavour, lambda _ref: made(flavour, *roles), lambda: PEM, lambda _name, _number: Secret("kanarie"))


def config(job: Job) -> dict[str, object]:
    (file,) = (one for one in job.files if one.path.endswith("/config.yaml"))
    assert isinstance(file.text, Secret)
    assert file.mode == "600"
    read: dict[str, object] = json.loads(file.text.reveal())
    return read


def test_the_first_server_makes_a_cluster_and_waits_until_it_is_ready() -> None:
    job = engine().found(FoundCluster(cluster=SPEC), ONE, ADDRESS)
    assert config(job) == {
        "cluster-cidr": "10.244.0.0/16",
        "cluster-dns": "10.96.0.10",
        "cluster-init": True,
        "disable": ["servicelb", "traefik"],
        "kube-apiserver-arg": ["anonymous-auth=true"],
        "node-ip": "10.77.0.11",
        "node-name": "one",
        "service-cidr": "10.96.0.0/16",
        "tls-san": ["10.77.0.2", "prod.lab.test"],
        "token": "kanarie",
        "write-kubeconfig-mode": "0600",
    }
    assert [act.says for act in job.acts] == ["configuring", "founding prod", "waiting until its API is ready"]
    assert job.mark == engine().founded(FoundCluster(cluster=SPEC), ONE).mark


def test_a_further_server_comes_with_what_servers_have_and_a_worker_with_what_is_its_own() -> None:
    pin = sha256(PEM.encode()).hexdigest()
    server = config(engine().join(JoinCluster(cluster=SPEC, role=PLANE), TWO, ADDRESS, TICKET))
    assert (server["server"], server["token"]) == ("https://10.77.0.2:6443", f"K10{pin}::server:kanarie")
    assert "cluster-init" not in server
    worker = engine().join(JoinCluster(cluster=SPEC, role=WORKER), TWO, ADDRESS, TICKET)
    assert config(worker) == {
        "node-ip": "10.77.0.11",
        "node-name": "two",
        "server": "https://10.77.0.2:6443",
        "token": f"K10{pin}::abcdef.0123456789abcdef",
    }
    assert [act.says for act in worker.acts] == ["configuring", "joining prod"]
    assert "kanarie" not in script(worker, "").reveal()


def test_rke2_differs_in_names_ports_and_in_flags_that_it_does_not_have() -> None:
    job = engine(RKE2).found(FoundCluster(cluster=SPEC), ONE, ADDRESS)
    assert not {"cluster-init", "disable"} & config(job).keys()
    paths = [file.path for file in job.files]
    assert paths == ["/var/lib/innervate/rke2/config.yaml", "/var/lib/innervate/rke2/rke2-server.service"]
    assert "ExecStart=/usr/local/bin/rke2 server" in str(job.files[1].text)
    joining = engine(RKE2).join(JoinCluster(cluster=SPEC, role=WORKER), TWO, ADDRESS, TICKET)
    assert config(joining)["server"] == "https://10.77.0.2:9345"
    assert engine(RKE2).ports == {9345: HttpsCheck(path="/ping"), 6443: HttpsCheck()}
    assert engine().ports == {6443: HttpsCheck()}


def test_a_node_is_the_same_whatever_it_becomes() -> None:
    server, worker = (engine().prepare(PrepareNode(cluster=SPEC, role=role)) for role in NodeRole)
    assert server == worker
    assert {one.path: one.mode for one in server.downloads} == {
        "/var/cache/innervate/k3s/v1.33.4+k3s1/k3s": "755",
        "/var/cache/innervate/k3s/the-package": "644",
        "/var/lib/rancher/k3s/agent/images/the-images": "644",
    }
    registries = next(json.loads(str(one.text)) for one in server.files if one.path.endswith("registries.yaml"))
    assert registries == {
        "mirrors": {name: {"endpoint": ["https://10.77.0.1:5000"]} for name in ("docker.io", "10.77.0.1:5000")},
        "configs": {"10.77.0.1:5000": {"tls": {"ca_file": "/etc/rancher/k3s/registry-ca.crt"}}},
    }
    newer = replace(SPEC, set=replace(SPEC.set, sha256="b" * 64))
    assert server == engine().prepare(PrepareNode(cluster=newer, role=PLANE)), "only what the node has counts"


def test_the_program_of_rke2_comes_in_an_archive() -> None:
    job = engine(RKE2).prepare(PrepareNode(cluster=SPEC, role=PLANE))
    says = [act.says for act in job.acts]
    assert says == [
        "installing packages",
        "unpacking rke2",
        "installing rke2",
        "forgetting images of another version",
    ]
    assert job.acts[1].argv[-1] == "bin/rke2"


@pytest.mark.parametrize("roles", [(), ("images",)], ids=["nothing", "images alone"])
def test_a_set_without_the_program_is_refused(roles: tuple[str, ...]) -> None:
    with pytest.raises(SiteError, match="has 0 files for k3s, not one"):
        engine(roles=roles).prepare(PrepareNode(cluster=SPEC, role=PLANE))


def test_a_server_that_leaves_is_taken_out_of_etcd_before_it_forgets_the_cluster() -> None:
    leaves = engine().reset(ResetNode(cluster=SPEC), ONE)
    assert [act.says for act in leaves.acts] == [
        "having this node's member taken out of etcd",
        "removing pods, keys and memory of the cluster",
    ]
    assert "etcd.k3s.cattle.io" in leaves.acts[0].argv
    assert "--server=https://10.77.0.2:6443" in leaves.acts[0].argv
    last = engine().reset(ResetNode(cluster=SPEC, last=True), ONE)
    assert last.acts == leaves.acts[1:]


def test_the_new_program_takes_the_place_of_the_old_one_while_pods_run_on() -> None:
    job = engine().upgrade(UpgradeNode(cluster=SPEC, role=WORKER), ONE, ADDRESS)
    assert [act.says for act in job.acts] == [
        "installing packages",
        "forgetting images of another version",
        "starting k3s-agent.service anew",
    ]
    server = engine().upgrade(UpgradeNode(cluster=SPEC, role=PLANE, leads=True), ONE, ADDRESS)
    assert server.acts[-1].says == "waiting until its API is ready"


def test_a_backup_is_restored_by_who_founds() -> None:
    job = engine().restore(RestoreCluster(cluster=SPEC, backup="x"), ONE, ADDRESS)
    assert config(job)["cluster-init"] is True
    text = job.acts[0].argv[2]
    assert text.index("reset-flag") < text.index("--cluster-reset ") < text.index("rm -rf /var/lib/innervate/etcd\n")


def test_the_shared_address_asks_the_api_by_its_own_program() -> None:
    planes = {ONE: ADDRESS, TWO: IPv4Address("10.77.0.12")}
    job = engine().share(ShareEndpoint(cluster=SPEC, planes=(ONE, TWO)), ONE, planes)
    ready = next(str(one.text) for one in job.files if one.path.endswith("api-is-ready"))
    assert "k3s kubectl --kubeconfig=/etc/rancher/k3s/k3s.yaml --server=https://10.77.0.11:6443" in ready


@pytest.mark.parametrize("flavour", [K3S, RKE2], ids=["k3s", "rke2"])
def test_every_text_is_one_that_a_shell_reads(flavour: Flavour) -> None:
    asked: NodeEngine = engine(flavour)
    jobs = (
        asked.prepare(PrepareNode(cluster=SPEC, role=PLANE)),
        asked.found(FoundCluster(cluster=SPEC), ONE, ADDRESS),
        asked.reset(ResetNode(cluster=SPEC), ONE),
        asked.upgrade(UpgradeNode(cluster=SPEC, role=PLANE), ONE, ADDRESS),
        asked.restore(RestoreCluster(cluster=SPEC, backup="x"), ONE, ADDRESS),
    )
    texts = [act.argv[2] for job in jobs for act in job.acts if act.argv[0] == "sh"]
    texts += [script(job, "").reveal() for job in jobs]
    texts += [argv[2] for argv in (asked.save(SPEC), asked.hand_over(SPEC))]
    for text in texts:
        subprocess.run(["dash", "-n", "-c", text], check=True)


def test_the_tar_that_is_no_part_of_the_new_version_goes(tmp_path: Path) -> None:
    for name in ("old.tar", "new.tar"):
        (tmp_path / name).touch()
    subprocess.run(rancher_life.sweep(str(tmp_path), ("new.tar",)).argv, check=True)
    assert [one.name for one in tmp_path.iterdir()] == ["new.tar"]


def test_what_a_copy_holds_is_read_as_that_of_etcd() -> None:
    assert read_snapshot('"Revision" : 4321\n"Size" : 2048\n').revision == 4321


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("v1.33.4+k3s1", "v1.33.4+k3s2"),
        ("v1.33.4+k3s2", "v1.33.5+k3s1"),
        ("v1.33.9+rke2r1", "v1.33.10+rke2r1"),
    ],
)
def test_releases_have_an_order(older: str, newer: str) -> None:
    first, second = map(KubernetesVersion.parse, (older, newer))
    assert first < second
    assert (str(first), str(second)) == (older, newer)
