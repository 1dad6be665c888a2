"""k3s and RKE2 as jobs for nodes: one program that is all of Kubernetes, and its configuration. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address

from appliance.errors import SiteError
from appliance.kubernetes import rancher_life as life
from appliance.kubernetes import rancher_texts as texts
from appliance.kubernetes import vip
from appliance.kubernetes.cluster import Ticket
from appliance.kubernetes.contents import SYSCTL
from appliance.kubernetes.engine import mark_of
from appliance.kubernetes.etcd import EtcdMember
from appliance.kubernetes.flavour import Flavour
from appliance.model.balancer import HealthCheck
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
from appliance.nodes.job import Act, Download, Job, TextFile, of_content
from images.artifact_set import ArtifactSet, SetFile

CACHE = "/var/cache/innervate"
PACKAGE_ROLE, IMAGES_ROLE = "package", "images"
_SERVERS_SECRET = 0
_SYSCTLS = "net.ipv4.ip_forward = 1\n"


class Rancher:
    """`described` is the artifact set that a reference names, `authority` who has signed the registry's certificate,
    `secret` a cluster's key of that number: what servers are let in by, and what encrypts their common keys."""

    proof = "token"

    def __init__(
        self,
        flavour: Flavour,
        described: Callable[[SetRef], ArtifactSet],
        authority: Callable[[], str],
        secret: Callable[[ClusterName, int], Secret],
    ) -> None:
        self._flavour, self._described, self._authority, self._secret = flavour, described, authority, secret

    @property
    def ports(self) -> Mapping[int, HealthCheck]:
        return self._flavour.ports

    @property
    def kubeconfig(self) -> tuple[str, ...]:
        return (*self._flavour.ask, "config", "view", "--raw", "-o", "json")

    @property
    def restart(self) -> tuple[str, ...]:
        return ("systemctl", "restart", self._flavour.agent)

    def prepare(self, do: PrepareNode) -> Job:
        flavour, artifacts = self._flavour, self._described(do.cluster.set)
        job = Job(
            name=f"{flavour.program}-prepare",
            mark="",
            downloads=self._downloads(artifacts),
            files=self._files(do.cluster),
            acts=(*self._packages(artifacts), *self._install(artifacts), self._sweep(artifacts)),
        )
        return of_content(job)

    def found(self, do: FoundCluster, name: MachineName, address: IPv4Address) -> Job:
        place, job = texts.Place(cluster=do.cluster, name=name, address=address), self.founded(do, name)
        config = texts.founder(self._flavour, place, self._token(do.cluster))
        says = f"founding {do.cluster.name}"
        return self._begun(job, NodeRole.CONTROL_PLANE, config, says, afresh=True)

    def founded(self, do: FoundCluster, name: MachineName) -> Job:
        return Job(name=f"{self._flavour.program}-found", mark=mark_of(do, name))

    def shared_keys(self, role: NodeRole) -> tuple[str, ...]:
        return ()

    def join(self, do: JoinCluster, name: MachineName, address: IPv4Address, ticket: Ticket) -> Job:
        """A worker by its own token, which is worth nothing afterwards. A server by the secret that all of them have:
        the cluster's keys lie encrypted with it in its memory."""
        place, job = texts.Place(cluster=do.cluster, name=name, address=address), self.joined(do, name)
        if do.role is NodeRole.CONTROL_PLANE:
            mine = Secret(f"server:{self._token(do.cluster).reveal()}")
            config = texts.server(self._flavour, place, texts.pinned(ticket.authority, mine))
        else:
            config = texts.agent(self._flavour, place, texts.pinned(ticket.authority, ticket.token))
        return self._begun(job, do.role, config, f"joining {do.cluster.name}", afresh=False)

    def joined(self, do: JoinCluster, name: MachineName) -> Job:
        return Job(name=f"{self._flavour.program}-join", mark=mark_of(do, name))

    def share(self, do: ShareEndpoint, name: MachineName, planes: Mapping[MachineName, IPv4Address]) -> Job:
        others = [address for plane, address in planes.items() if plane != name]
        cluster, mine = do.cluster, planes[name]
        files = vip.files(name, mine, cluster.endpoint, cluster.router, others, ask=self._flavour.ask)
        return replace(self.shared(do, name), files=files, acts=vip.start(mine))

    def shared(self, do: ShareEndpoint, name: MachineName) -> Job:
        return Job(name="share-endpoint", mark=mark_of(do, name))

    def reset(self, do: ResetNode, name: MachineName) -> Job:
        acts = life.leave(self._flavour, name, do.cluster.endpoint, last=do.last)
        return replace(self.was_reset(do, name), acts=acts)

    def was_reset(self, do: ResetNode, name: MachineName) -> Job:
        return Job(name=f"{self._flavour.program}-reset", mark=mark_of(do, name))

    def upgrade(self, do: UpgradeNode, name: MachineName, address: IPv4Address) -> Job:
        artifacts = self._described(do.cluster.set)
        unpack = self._unpack(artifacts)
        return replace(
            self.upgraded(do, name),
            downloads=self._downloads(artifacts),
            files=self._files(do.cluster),
            acts=(
                *self._packages(artifacts),
                *unpack,
                self._sweep(artifacts),
                *life.upgrade(self._flavour, do.role, self._staged(artifacts)),
            ),
        )

    def upgraded(self, do: UpgradeNode, name: MachineName) -> Job:
        return Job(name=f"{self._flavour.program}-upgrade", mark=mark_of(do, name))

    def restore(self, do: RestoreCluster, name: MachineName, address: IPv4Address) -> Job:
        place = texts.Place(cluster=do.cluster, name=name, address=address)
        config = texts.founder(self._flavour, place, self._token(do.cluster))
        return replace(
            self.restored(do, name),
            files=self._staging(NodeRole.CONTROL_PLANE, config),
            acts=life.restore(self._flavour, f"starting {do.cluster.name} with them"),
        )

    def restored(self, do: RestoreCluster, name: MachineName) -> Job:
        return Job(name=f"{self._flavour.program}-restore", mark=mark_of(do, name))

    def members(self, cluster: ClusterSpec) -> tuple[str, ...]:
        """A server's node goes from the list when its member has gone from etcd, and not before."""
        return ()

    def remove(self, cluster: ClusterSpec, member: EtcdMember) -> tuple[str, ...]:
        raise AssertionError(f"{cluster.name} tells of no members: {member.name}")

    def save(self, cluster: ClusterSpec) -> tuple[str, ...]:
        return life.save(self._flavour)

    def hand_over(self, cluster: ClusterSpec) -> tuple[str, ...]:
        return life.hand_over(self._flavour)

    def _token(self, cluster: ClusterSpec) -> Secret:
        return self._secret(cluster.name, _SERVERS_SECRET)

    def _begun(self, job: Job, role: NodeRole, config: Secret, says: str, *, afresh: bool) -> Job:
        acts = life.begin(self._flavour, role, job.name, says, afresh=afresh)
        return replace(job, files=self._staging(role, config), acts=acts)

    def _staging(self, role: NodeRole, config: Secret) -> tuple[TextFile, ...]:
        folder = self._flavour.staging
        return (
            TextFile(path=f"{folder}/config.yaml", text=config, mode="600"),
            TextFile(path=f"{folder}/{self._flavour.unit(role)}", text=texts.unit(self._flavour, role)),
        )

    def _files(self, cluster: ClusterSpec) -> tuple[TextFile, ...]:
        etc, authority = self._flavour.etc, self._authority()
        found = [
            TextFile(path=f"{etc}/registries.yaml", text=texts.registries(self._flavour, cluster.registry, authority)),
            TextFile(path=SYSCTL, text=_SYSCTLS),
        ]
        if authority:
            found.append(TextFile(path=f"{etc}/{texts.AUTHORITY}", text=authority))
        return tuple(found)

    def _downloads(self, artifacts: ArtifactSet) -> tuple[Download, ...]:
        program, cache = self._program(artifacts), f"{CACHE}/{self._flavour.program}"
        packages = ((one, f"{cache}/{one.name}") for one in artifacts.of_role(PACKAGE_ROLE))
        tars = ((one, f"{self._images}/{one.name}") for one in artifacts.of_role(IMAGES_ROLE))
        found = [(program, self._fetched(artifacts)), *packages, *tars]
        return tuple(
            Download(sha256=one.sha256, path=path, mode="755" if one is program else "644") for one, path in found
        )

    def _packages(self, artifacts: ArtifactSet) -> tuple[Act, ...]:
        """None are needed, but for an endpoint on the control planes: keepalived."""
        paths = [f"{CACHE}/{self._flavour.program}/{one.name}" for one in artifacts.of_role(PACKAGE_ROLE)]
        how = ("--install", "--skip-same-version", "--force-confold")
        install = ("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", *how, *paths)
        return (Act(argv=install, says="installing packages"),) if paths else ()

    def _install(self, artifacts: ArtifactSet) -> tuple[Act, ...]:
        staged, binary = self._staged(artifacts), self._flavour.binary
        put = 'cp "$1" "$2.new"; mv "$2.new" "$2"; touch -a /etc/resolv.conf; /usr/lib/systemd/systemd-sysctl "$3"'
        says = f"installing {self._flavour.program}"
        return (*self._unpack(artifacts), Act(argv=("sh", "-euc", put, "sh", staged, binary, SYSCTL), says=says))

    def _unpack(self, artifacts: ArtifactSet) -> tuple[Act, ...]:
        if not self._flavour.archive:
            return ()
        archive, member = self._fetched(artifacts), f"bin/{self._flavour.program}"
        into = archive.rpartition("/")[0]
        argv = ("tar", "-C", into, "--no-same-owner", "--strip-components=1", "-xzf", archive, member)
        return (Act(argv=argv, says=f"unpacking {self._flavour.program}"),)

    def _sweep(self, artifacts: ArtifactSet) -> Act:
        return life.sweep(self._images, tuple(one.name for one in artifacts.of_role(IMAGES_ROLE)))

    @property
    def _images(self) -> str:
        return f"{self._flavour.data}/agent/images"

    def _staged(self, artifacts: ArtifactSet) -> str:
        """The program lies beside the one that runs until it is its turn."""
        return f"{CACHE}/{self._flavour.program}/{artifacts.version}/{self._flavour.program}"

    def _fetched(self, artifacts: ArtifactSet) -> str:
        staged = self._staged(artifacts)
        return f"{staged}.tar.gz" if self._flavour.archive else staged

    def _program(self, artifacts: ArtifactSet) -> SetFile:
        match artifacts.of_role(self._flavour.program):
            case (file,):
                return file
            case found:
                raise SiteError(
                    f"the artifact set {artifacts.name} has {len(found)} files for {self._flavour.program}, not one",
                    evidence=", ".join(file.name for file in found),
                    next_action="import a set that is whole",
                )
