"""Documents, files and commands of nodes; what genuine programs make of them is in tests/cluster."""

import json
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from appliance.errors import SiteError
from appliance.kubernetes import kubeadm, node
from appliance.kubernetes.cluster import Cluster, Endpoint, Member, Registry, Ticket
from appliance.kubernetes.version import ConfigApi, KubernetesVersion
from appliance.model.cluster import NodeRole
from appliance.model.secret import Secret
from images.artifact_set import ArtifactSet, Engine, Provenance, SetFile

GOLDEN = Path(__file__).parents[3] / "golden/kubernetes"
FIRST = Member(name="cp-0", address=IPv4Address("10.0.0.10"), role=NodeRole.CONTROL_PLANE)
SECOND = Member(name="cp-1", address=IPv4Address("10.0.0.11"), role=NodeRole.CONTROL_PLANE)
WORKER = Member(name="w-0", address=IPv4Address("10.0.0.20"), role=NodeRole.WORKER)
AUTHORITY = "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n"
TICKET = Ticket(token=Secret("abcdef.0123456789abcdef"), authority=AUTHORITY, certificate_key=Secret("0f" * 32))
CLUSTER = Cluster(
    name="site",
    version=KubernetesVersion(1, 20, 2),
    endpoint=Endpoint(host="api.site.example", port=8443),
    registry=Registry(endpoint=Endpoint(host="10.0.0.1", port=5000), repository="k8s", authority=AUTHORITY),
    members=(FIRST, SECOND, WORKER),
    tags={"etcd": "3.4.23", "pause": "3.2"},
)
NAMED = replace(CLUSTER, tags={**CLUSTER.tags, "coredns": "1.11.3"})
VERSIONS = {
    ConfigApi.V1BETA2: KubernetesVersion(1, 20, 2),
    ConfigApi.V1BETA3: KubernetesVersion(1, 30, 4),
    ConfigApi.V1BETA4: KubernetesVersion(1, 35, 0),
}


def _golden(name: str, text: str) -> None:
    """Written where there is none; delete it to accept a change."""
    path = GOLDEN / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        pytest.fail(f"{path} was missing and has been written: read it")
    assert text == path.read_text()


@pytest.mark.parametrize("api", list(ConfigApi), ids=lambda api: api.rpartition("/")[2])
@pytest.mark.parametrize(
    ("what", "member", "render"),
    [("first", FIRST, kubeadm.first), ("plane", SECOND, kubeadm.further), ("worker", WORKER, kubeadm.further)],
    ids=["first", "plane", "worker"],
)
def test_documents_are_the_golden_ones(
    api: ConfigApi, what: str, member: Member, render: Callable[[Cluster, Member, Ticket], str]
) -> None:
    _golden(f"{api.rpartition('/')[2]}-{what}.yaml", render(replace(CLUSTER, version=VERSIONS[api]), member, TICKET))


def test_discovery_and_files_are_the_golden_ones() -> None:
    _golden("discovery.yaml", kubeadm.discovery(CLUSTER, TICKET))
    for file in node.files(CLUSTER):
        assert isinstance(file.content, str)
        _golden(f"files/{file.path.strip('/').replace('/', '_').replace(':', '_')}", file.content)


@pytest.mark.parametrize(
    ("text", "api"),
    [
        ("v1.20.2", ConfigApi.V1BETA2),
        ("1.21.14", ConfigApi.V1BETA2),
        ("v1.22.0", ConfigApi.V1BETA3),
        ("v1.30.14", ConfigApi.V1BETA3),
        ("v1.31.0", ConfigApi.V1BETA4),
        ("v1.35.1", ConfigApi.V1BETA4),
    ],
)
def test_a_version_has_its_form(text: str, api: ConfigApi) -> None:
    version = KubernetesVersion.parse(text)
    assert version.config_api is api
    assert str(version) == f"v{text.removeprefix('v')}"


@pytest.mark.parametrize("text", ["v1.19.16", "v1.36.0", "v2.20.0", "v0.20.0"])
def test_an_unknown_version_is_refused_with_those_that_are_known(text: str) -> None:
    with pytest.raises(SiteError, match="is not known") as caught:
        _ = KubernetesVersion.parse(text).config_api
    assert caught.value.evidence == "versions 1.20 to 1.35 are"
    assert caught.value.next_action


@pytest.mark.parametrize("text", ["", "1.20", "v1.20.2-rc.1", "v1.20.2 ", "1.20.2.3", "v1.20.99999", "²1.2.3"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(SiteError, match="no version"):
        KubernetesVersion.parse(text)


def test_versions_are_ordered_by_number() -> None:
    assert KubernetesVersion.parse("v1.9.9") < KubernetesVersion.parse("v1.20.2") < KubernetesVersion.parse("v1.20.10")


def test_secrets_are_in_the_documents_and_nowhere_else() -> None:
    files = (*node.begin_files(CLUSTER, FIRST, TICKET), *node.join_files(CLUSTER, WORKER, TICKET))
    secret = {file.path for file in files if isinstance(file.content, Secret)}
    assert secret == {node.CONFIG}
    assert {file.mode for file in files if file.path == node.CONFIG} == {0o600}
    shown = repr((files, TICKET, node.begin(CLUSTER), node.join(CLUSTER), kubeadm.discovery(CLUSTER, TICKET)))
    assert "abcdef" not in shown
    assert "0f0f" not in shown
    assert "--skip-token-print" in node.begin(CLUSTER)[0].argv


def test_keys_are_left_for_further_control_planes_where_there_will_be_some() -> None:
    assert "--upload-certs" in node.begin(CLUSTER)[0].argv
    assert "--upload-certs" not in node.begin(replace(CLUSTER, members=(FIRST, WORKER)))[0].argv


@pytest.mark.parametrize("version", VERSIONS.values(), ids=str)
def test_the_name_service_is_skipped_where_the_set_has_none(version: KubernetesVersion) -> None:
    for cluster, skips in ((CLUSTER, True), (NAMED, False)):
        cluster = replace(cluster, version=version)
        text = kubeadm.first(cluster, FIRST, TICKET)
        assert (kubeadm.NO_NAMES in " ".join(node.begin(cluster)[0].argv)) is skips
        for command in (*node.begin(cluster), *node.join(cluster)):
            assert ("--ignore-preflight-errors=ImagePull" in command.argv) is skips
        assert (kubeadm.NO_NAMES in text) is (skips and version.minor >= 22)
        assert ('"imageTag": "1.11.3"' in text) is not skips


def test_who_begins_is_a_control_plane() -> None:
    with pytest.raises(SiteError, match="w-0 is to be a worker"):
        kubeadm.first(CLUSTER, WORKER, TICKET)


def test_a_control_plane_joins_with_the_key_alone() -> None:
    without = replace(TICKET, certificate_key=None)
    assert json.loads(kubeadm.further(CLUSTER, WORKER, without))["kind"] == "JoinConfiguration"
    with pytest.raises(SiteError, match="certificate key"):
        kubeadm.further(CLUSTER, SECOND, without)


def test_nobody_joins_a_cluster_whose_certificate_is_not_known() -> None:
    with pytest.raises(SiteError, match="certificate is not known"):
        node.join_files(CLUSTER, WORKER, replace(TICKET, authority=""))


def test_nothing_of_a_nodes_files_is_its_own_so_that_who_comes_later_changes_none() -> None:
    alone = replace(CLUSTER, members=(FIRST,))
    assert node.files(alone) == node.files(CLUSTER)
    paths = {file.path for file in node.files(CLUSTER)}
    assert {"/usr/local/lib/innervate/pod-network", "/etc/systemd/system/innervate-pod-network.service"} <= paths


def test_without_a_ticket_nobody_is_let_in() -> None:
    init = json.loads(kubeadm.first(CLUSTER, FIRST, None).partition("---")[0])
    assert init["bootstrapTokens"] == [{"ttl": "1m0s"}]
    assert "certificateKey" not in init


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Site"},
        {"names": ("a b",)},
        {"tags": {"etcd": "3.4.23"}},
        {"tags": {"etcd": "3.4.23", "pause": "../x"}},
        {"services": IPv4Network("10.200.64.0/18")},
        {"pods": IPv4Network("10.200.0.0/25")},
        {"pods": IPv4Network("10.200.0.0/23")},
        {"members": (FIRST, replace(WORKER, name="cp-0"))},
        {"members": (FIRST, replace(WORKER, address=FIRST.address))},
    ],
    ids=range(9),
)
def test_a_cluster_that_cannot_be_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(SiteError) as caught:
        replace(CLUSTER, **change)
    assert caught.value.next_action


@pytest.mark.parametrize(
    "make",
    [
        lambda: Ticket(token=Secret("abcdef")),
        lambda: replace(TICKET, authority="-----BEGIN PRIVATE KEY-----\n"),
        lambda: replace(TICKET, certificate_key=Secret("short")),
        lambda: Endpoint(host="a b"),
        lambda: Endpoint(host="a", port=0),
        lambda: Registry(endpoint=Endpoint(host="a"), repository="K8S"),
        lambda: Registry(endpoint=Endpoint(host="a"), repository="k8s", scheme="ftp"),
        lambda: replace(WORKER, name="w_0"),
    ],
    ids=range(8),
)
def test_values_that_no_document_may_hold_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(SiteError) as caught:
        make()
    assert "abcdef" not in f"{caught.value} {caught.value.evidence}", "no secret is evidence"


def _file(name: str, role: str) -> SetFile:
    return SetFile(name=name, role=role, size=1, sha256="ab" * 32)


def _set(*files: SetFile) -> ArtifactSet:
    return ArtifactSet(
        engine=Engine.KUBEADM, version="v1.20.2", arch="amd64", provenance=Provenance.REBUILT, files=files, images=()
    )


PROGRAMS = tuple(_file(name, name) for name in ("crictl", "kubeadm", "kubectl", "kubelet"))


def test_the_sets_files_are_fetched_to_where_they_belong() -> None:
    wanted = node.fetches(_set(*PROGRAMS, _file("runc_1_amd64.deb", "package")))
    assert [(one.path, one.mode) for one in wanted] == [
        *((f"/usr/local/bin/{file.name}", 0o755) for file in PROGRAMS),
        ("/var/cache/innervate/kubernetes/runc_1_amd64.deb", 0o644),
    ]
    command = node.fetch(wanted, "http://10.0.0.1:8000/sets/7")
    assert command.argv[4:8] == ("ab" * 32, "755", "/usr/local/bin/crictl", "http://10.0.0.1:8000/sets/7/crictl")
    assert len(command.argv) == 4 + 4 * 5


@pytest.mark.parametrize("files", [PROGRAMS[1:], (*PROGRAMS, _file("kubelet-2", "kubelet"))], ids=["none", "two"])
def test_a_set_that_lacks_a_program_or_has_two_is_refused(files: tuple[SetFile, ...]) -> None:
    with pytest.raises(SiteError, match="not one"):
        node.fetches(_set(*files))


def test_packages_are_installed_as_they_are_and_only_where_there_are_some() -> None:
    commands = node.prepare(_set(*PROGRAMS, _file("runc_1_amd64.deb", "package")))
    assert commands[0].argv[-1] == "/var/cache/innervate/kubernetes/runc_1_amd64.deb"
    assert "dpkg" not in {word for command in node.prepare(_set(*PROGRAMS)) for word in command.argv}
