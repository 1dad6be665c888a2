"""kubeadm's way into a cluster, as jobs for nodes. Pure.

A job that was cut off begins anew on what it had left, and only on that: on a machine that came into a cluster in
another way nothing is undone.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from ipaddress import IPv4Address

from appliance.kubernetes import etcd, life, node, vip
from appliance.kubernetes.cluster import Cluster, Endpoint, Member, Registry, Ticket
from appliance.kubernetes.etcd import EtcdMember
from appliance.kubernetes.kubeadm import SOCKET
from appliance.kubernetes.version import KubernetesVersion
from appliance.model.balancer import HealthCheck, HttpsCheck
from appliance.model.cluster import (
    API_PORT,
    ClusterAction,
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
from appliance.model.codec import to_json
from appliance.model.ids import MachineName
from appliance.nodes.job import Act, Download, Job, TextFile, of_content
from images.artifact_set import ArtifactSet

KUBECONFIG = ("kubectl", f"--kubeconfig={node.ADMIN}", "config", "view", "--raw", "-o", "json")
"""Prints the access of a control plane to its cluster, as JSON."""
SHARE_KEYS = ("sh", "-c", life.SHARE_KEYS)
"""Prints last the key under which another control plane may fetch the cluster's own keys, for two hours."""


class Kubeadm:
    """`described` is the artifact set that a reference names, `authority` who has signed the registry's certificate."""

    kubeconfig = KUBECONFIG
    restart = ("systemctl", "restart", "kubelet.service")
    proof = "ca.key"

    def __init__(self, described: Callable[[SetRef], ArtifactSet], authority: Callable[[], str]) -> None:
        self._described, self._authority = described, authority

    @property
    def ports(self) -> Mapping[int, HealthCheck]:
        return {API_PORT: HttpsCheck()}

    def prepare(self, do: PrepareNode) -> Job:
        artifacts = self._described(do.cluster.set)
        job = Job(
            name="kubeadm-prepare",
            mark="",
            downloads=downloads_of(node.fetches(artifacts)),
            files=files_of(node.files(self._cluster(do.cluster))),
            acts=tuple(Act(argv=one.argv, says=_says(one.argv)) for one in node.prepare(artifacts)),
        )
        return of_content(job)

    def found(self, do: FoundCluster, name: MachineName, address: IPv4Address) -> Job:
        member = Member(name=name, address=address, role=NodeRole.CONTROL_PLANE)
        cluster = self._cluster(do.cluster, member)
        (init,) = node.begin(cluster)
        return replace(
            self.founded(do, name),
            files=files_of(node.begin_files(cluster, member, None)),
            acts=(_once("kubeadm-found", init.argv, f"founding {do.cluster.name}"),),
        )

    def shared_keys(self, role: NodeRole) -> tuple[str, ...]:
        return SHARE_KEYS if role is NodeRole.CONTROL_PLANE else ()

    def join(self, do: JoinCluster, name: MachineName, address: IPv4Address, ticket: Ticket) -> Job:
        member = Member(name=name, address=address, role=do.role)
        cluster = self._cluster(do.cluster, member)
        (join,) = node.join(cluster)
        return replace(
            self.joined(do, name),
            files=files_of(node.join_files(cluster, member, ticket)),
            acts=(_once("kubeadm-join", join.argv, f"joining {do.cluster.name}"),),
        )

    def share(self, do: ShareEndpoint, name: MachineName, planes: Mapping[MachineName, IPv4Address]) -> Job:
        """`planes` has the address of each of the step's."""
        others = [address for plane, address in planes.items() if plane != name]
        cluster, mine = do.cluster, planes[name]
        return replace(
            self.shared(do, name),
            files=vip.files(name, mine, cluster.endpoint, cluster.router, others),
            acts=vip.start(mine),
        )

    def shared(self, do: ShareEndpoint, name: MachineName) -> Job:
        return Job(name="share-endpoint", mark=mark_of(do, name))

    def reset(self, do: ResetNode, name: MachineName) -> Job:
        return replace(self.was_reset(do, name), acts=life.leave(self._cluster(do.cluster), name, last=do.last))

    def upgrade(self, do: UpgradeNode, name: MachineName, address: IPv4Address) -> Job:
        artifacts, member = self._described(do.cluster.set), Member(name=name, address=address, role=do.role)
        cluster = self._cluster(do.cluster, member)
        settings = node.begin_files(cluster, member, None) if do.leads else ()
        return replace(
            self.upgraded(do, name),
            downloads=downloads_of(life.fetches(artifacts)),
            files=files_of((*node.files(cluster), *settings)),
            acts=life.upgrade(cluster, artifacts, do.role, leads=do.leads),
        )

    def restore(self, do: RestoreCluster, name: MachineName, address: IPv4Address) -> Job:
        member = Member(name=name, address=address, role=NodeRole.CONTROL_PLANE)
        cluster = self._cluster(do.cluster, member)
        return replace(
            self.restored(do, name),
            files=files_of(node.begin_files(cluster, member, None)),
            acts=life.restore(cluster, name, address),
        )

    def members(self, cluster: ClusterSpec) -> tuple[str, ...]:
        return etcd.members(self._etcd_image(cluster))

    def remove(self, cluster: ClusterSpec, member: EtcdMember) -> tuple[str, ...]:
        return etcd.remove(self._etcd_image(cluster), member)

    def save(self, cluster: ClusterSpec) -> tuple[str, ...]:
        return etcd.save(self._etcd_image(cluster))

    def hand_over(self, cluster: ClusterSpec) -> tuple[str, ...]:
        return etcd.hand_over()

    def was_reset(self, do: ResetNode, name: MachineName) -> Job:
        return Job(name="kubeadm-reset", mark=mark_of(do, name))

    def upgraded(self, do: UpgradeNode, name: MachineName) -> Job:
        return Job(name="kubeadm-upgrade", mark=mark_of(do, name))

    def restored(self, do: RestoreCluster, name: MachineName) -> Job:
        return Job(name="kubeadm-restore", mark=mark_of(do, name))

    def founded(self, do: FoundCluster, name: MachineName) -> Job:
        return Job(name="kubeadm-found", mark=mark_of(do, name))

    def joined(self, do: JoinCluster, name: MachineName) -> Job:
        return Job(name="kubeadm-join", mark=mark_of(do, name))

    def _etcd_image(self, cluster: ClusterSpec) -> str:
        return life.image_of(self._cluster(cluster))

    def _cluster(self, spec: ClusterSpec, *members: Member) -> Cluster:
        artifacts = self._described(spec.set)
        host, _, port = spec.registry.rpartition(":")
        repositories = {image.repository.rpartition("/")[0] for image in artifacts.images}
        return Cluster(
            name=spec.name,
            version=KubernetesVersion.parse(spec.set.version),
            endpoint=Endpoint(host=str(spec.endpoint)),
            registry=Registry(
                endpoint=Endpoint(host=host, port=int(port)),
                repository=min(repositories, default=""),
                authority=self._authority(),
            ),
            members=members,
            tags={image.repository.rpartition("/")[2]: image.tag for image in artifacts.images},
            pods=spec.pods,
            services=spec.services,
            names=spec.names,
        )


def mark_of(do: ClusterAction, name: MachineName) -> str:
    """Of the step's job on that machine."""
    return sha256(name.encode() + b"\n" + to_json(do)).hexdigest()


def downloads_of(fetches: Iterable[node.Fetch]) -> tuple[Download, ...]:
    return tuple(Download(sha256=one.file.sha256, path=one.path, mode=f"{one.mode:o}") for one in fetches)


def files_of(files: Iterable[node.NodeFile]) -> tuple[TextFile, ...]:
    return tuple(TextFile(path=file.path, text=file.content, mode=f"{file.mode:o}") for file in files)


def _says(argv: tuple[str, ...]) -> str:
    return "installing packages" if "dpkg" in argv else " ".join(argv)


def _once(name: str, argv: tuple[str, ...], says: str) -> Act:
    return Act(argv=("sh", "-c", _ONCE, "sh", f"/var/lib/innervate/jobs/{name}.begun", SOCKET, *argv), says=says)


_ONCE = """\
set -eu
begun="$1" socket="$2"
shift 2
etc=/etc/kubernetes
if [ -e $etc/kubelet.conf ] || [ -e $etc/manifests/etcd.yaml ] || [ -e /var/lib/etcd/member ]; then
    if ! [ -e "$begun" ] || [ -e "${begun%.begun}" ]; then
        echo "this machine is a node of a cluster already, and not by this step: nothing was undone"
        exit 1
    fi
    timeout 180 kubeadm reset --force --cri-socket "$socket"
fi
mkdir -p "${begun%/*}"
rm -f "${begun%/*}/kubeadm-reset"
touch "$begun"
sync "$begun"
exec "$@"
"""
# The mark of the job, `begun` without its end, comes after: what has one was finished, and is somebody's cluster.
