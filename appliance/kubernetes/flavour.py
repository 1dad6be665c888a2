"""What k3s and RKE2 differ in: names, paths and ports of one program, which is otherwise the same.

https://docs.k3s.io, https://docs.rke2.io; RKE2 is k3s with other defaults and fewer flags (its pkg/cli/cmds/server.go).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.model.balancer import HealthCheck, HttpsCheck
from appliance.model.cluster import API_PORT, NodeRole
from images.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavour:
    """`program` is its name, `server` and `agent` are its units. `archive`: the set holds the program as
    `bin/PROGRAM` of a tar.gz. `join_port` is where members find the cluster. `founder` are the flags of the first
    server alone, `left_out` what is not deployed."""

    engine: Engine
    program: str
    server: str
    agent: str
    kubectl: tuple[str, ...]
    archive: bool
    join_port: int
    founder: Mapping[str, object]
    left_out: tuple[str, ...]

    @property
    def etc(self) -> str:
        return f"/etc/rancher/{self.program}"

    @property
    def data(self) -> str:
        return f"/var/lib/rancher/{self.program}"

    @property
    def admin(self) -> str:
        """The kubeconfig that a server writes."""
        return f"{self.etc}/{self.program}.yaml"

    @property
    def binary(self) -> str:
        return f"/usr/local/bin/{self.program}"

    @property
    def staging(self) -> str:
        """Where a node's configuration lies until it is its turn."""
        return f"/var/lib/innervate/{self.program}"

    @property
    def ask(self) -> tuple[str, ...]:
        """What a question of a server to its cluster begins with."""
        return (*self.kubectl, f"--kubeconfig={self.admin}")

    @property
    def ports(self) -> Mapping[int, HealthCheck]:
        """`/ping` is all that the port for joining says to whoever has no token."""
        join: Mapping[int, HealthCheck] = {self.join_port: HttpsCheck(path="/ping")}
        return {**join, API_PORT: HttpsCheck()}

    def unit(self, role: NodeRole) -> str:
        return self.server if role is NodeRole.CONTROL_PLANE else self.agent


K3S = Flavour(
    engine=Engine.K3S,
    program="k3s",
    server="k3s.service",
    agent="k3s-agent.service",
    kubectl=("k3s", "kubectl"),
    archive=False,
    join_port=API_PORT,
    founder={"cluster-init": True},
    left_out=("servicelb", "traefik"),
)
RKE2 = Flavour(
    engine=Engine.RKE2,
    program="rke2",
    server="rke2-server.service",
    agent="rke2-agent.service",
    kubectl=("/var/lib/rancher/rke2/bin/kubectl",),
    archive=True,
    join_port=9345,
    founder={},
    left_out=(),
)
