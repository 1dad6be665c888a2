"""What one machine needs to become a node: files of ours, files of the artifact set, and commands, in this order.

    files      written before anything is installed, so that each service starts with its own configuration
    fetches    the set's files, over HTTP, each checked against its hash
    prepare    installs packages, starts what runs on every node
    begin      `kubeadm init`, on the first control plane
    join       `kubeadm join`, on every other member

Each part may be done twice: what has been done already stays as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.errors import SiteError
from appliance.kubernetes import contents, kubeadm
from appliance.kubernetes.cluster import Cluster, Member, Ticket
from appliance.model.cluster import NodeRole
from appliance.model.secret import Secret
from images.artifact_set import ArtifactSet, SetFile

CONFIG = "/etc/kubernetes/innervate.yaml"
ADMIN = "/etc/kubernetes/admin.conf"
AUTHORITY = "/etc/kubernetes/pki/ca.crt"
PACKAGES = "/var/cache/innervate/kubernetes"
_PROGRAMS = ("crictl", "kubeadm", "kubectl", "kubelet")
_BIN = "/usr/local/bin"
_PACKAGE_ROLE = "package"
# The image has no other client of HTTP. A file appears under its name when it is whole.
_FETCH = """\
set -e
while [ $# -gt 0 ]; do
    if ! echo "$1  $3" | sha256sum --check --status 2>/dev/null; then
        mkdir -p "${3%/*}"
        busybox wget -q -O "$3.new" "$4"
        echo "$1  $3.new" | sha256sum --check --quiet
        mv "$3.new" "$3"
    fi
    chmod "$2" "$3"
    shift 4
done
"""
_PREPARE_BUDGET, _CLUSTER_BUDGET, _SHORT_BUDGET = 600.0, 900.0, 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFile:
    """`content` is a secret where its file is nobody else's to read."""

    path: str
    content: str | Secret

    @property
    def mode(self) -> int:
        return 0o600 if isinstance(self.content, Secret) else 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """A file of the set, and where it belongs."""

    file: SetFile
    path: str
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`seconds` is its budget. Nothing in `argv` is secret."""

    argv: tuple[str, ...]
    seconds: float


def files(cluster: Cluster) -> tuple[NodeFile, ...]:
    texts = {
        "/etc/modules-load.d/kubernetes.conf": contents.MODULES,
        contents.SYSCTL: contents.SYSCTLS,
        "/etc/containerd/config.toml": contents.containerd(cluster),
        f"{contents.hosts(cluster)}/hosts.toml": contents.registry(cluster),
        "/etc/systemd/system/kubelet.service": contents.KUBELET,
        "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf": contents.KUBEADM,
        contents.POD_NETWORK: contents.pod_network(),
        f"/etc/systemd/system/{contents.ROUTES}": contents.ROUTING,
    }
    if cluster.registry.authority:
        texts[f"{contents.hosts(cluster)}/ca.crt"] = cluster.registry.authority
    return tuple(NodeFile(path=path, content=text) for path, text in texts.items())


def fetches(artifacts: ArtifactSet) -> tuple[Fetch, ...]:
    """Raises SiteError for a set that lacks a program."""
    programs = [_program(artifacts, role) for role in _PROGRAMS]
    packages = [
        Fetch(file=file, path=f"{PACKAGES}/{file.name}", mode=0o644) for file in artifacts.of_role(_PACKAGE_ROLE)
    ]
    return (*programs, *packages)


def fetch(wanted: Sequence[Fetch], base: str) -> Command:
    """`base` is the URL below which the set's files are, without a slash at its end. What is there already is kept."""
    words = [word for one in wanted for word in (one.file.sha256, f"{one.mode:o}", one.path, f"{base}/{one.file.name}")]
    return Command(argv=("sh", "-c", _FETCH, "fetch", *words), seconds=_PREPARE_BUDGET)


def prepare(artifacts: ArtifactSet) -> tuple[Command, ...]:
    packages = [f"{PACKAGES}/{file.name}" for file in artifacts.of_role(_PACKAGE_ROLE)]
    # Our files are there before the packages that bring the same ones: they stay.
    how = ("--install", "--skip-same-version", "--force-confold")
    install = ("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", *how, *packages)
    commands = [Command(argv=install, seconds=_PREPARE_BUDGET)] if packages else []
    commands += [
        Command(argv=argv, seconds=_SHORT_BUDGET)
        for argv in (
            ("touch", "-a", "/etc/resolv.conf"),  # a kubelet starts no pod without it, even where it is empty
            ("systemctl", "daemon-reload"),
            ("systemctl", "restart", "systemd-modules-load.service"),
            ("/usr/lib/systemd/systemd-sysctl", contents.SYSCTL),
            ("systemctl", "enable", "--quiet", "--now", "containerd.service", contents.ROUTES),
            ("systemctl", "enable", "--quiet", "kubelet.service"),
        )
    ]
    return tuple(commands)


def reload() -> tuple[Command, ...]:
    """For a node that runs, and of which a file has changed since: pods go on meanwhile."""
    services = ("containerd.service", contents.ROUTES, "kubelet.service")
    return tuple(
        Command(argv=("systemctl", *words), seconds=_SHORT_BUDGET)
        for words in (("daemon-reload",), ("restart", *services))
    )


def begin_files(cluster: Cluster, member: Member, ticket: Ticket | None) -> tuple[NodeFile, ...]:
    return (NodeFile(path=CONFIG, content=Secret(kubeadm.first(cluster, member, ticket))),)


def join_files(cluster: Cluster, member: Member, ticket: Ticket) -> tuple[NodeFile, ...]:
    return (
        NodeFile(path=CONFIG, content=Secret(kubeadm.further(cluster, member, ticket))),
        NodeFile(path=kubeadm.DISCOVERY, content=kubeadm.discovery(cluster, ticket)),
    )


def begin(cluster: Cluster, *also: str) -> tuple[Command, ...]:
    """`also` as in `lenient`."""
    words = ["kubeadm", "init", f"--config={CONFIG}", "--skip-token-print", *lenient(cluster, *also)]
    if sum(member.role is NodeRole.CONTROL_PLANE for member in cluster.members) > 1:
        words.append("--upload-certs")
    if phases := kubeadm.skipped(cluster):
        words.append(f"--skip-phases={','.join(phases)}")
    return (Command(argv=tuple(words), seconds=_CLUSTER_BUDGET),)


def join(cluster: Cluster) -> tuple[Command, ...]:
    return (Command(argv=("kubeadm", "join", f"--config={CONFIG}", *lenient(cluster)), seconds=_CLUSTER_BUDGET),)


def lenient(cluster: Cluster, *also: str) -> tuple[str, ...]:
    """Some versions pull the image of a name service that is skipped: then a pull that fails is no reason to stop.
    `also` are more of kubeadm's checks that are none."""
    checks = also if cluster.has_names else ("ImagePull", *also)
    return (f"--ignore-preflight-errors={','.join(checks)}",) if checks else ()


def _program(artifacts: ArtifactSet, role: str) -> Fetch:
    match artifacts.of_role(role):
        case (file,):
            return Fetch(file=file, path=f"{_BIN}/{role}", mode=0o755)
        case found:
            raise SiteError(
                f"the artifact set {artifacts.version} has {len(found)} files for {role}, not one",
                evidence=", ".join(file.name for file in found),
                next_action="import a set that is whole",
            )
