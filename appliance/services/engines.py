"""Steps of clusters go to who makes clusters of their engine, others to who deploys, or speaks with switches."""

from appliance.conductor.decision import ClusterSight
from appliance.model.application import AppAction
from appliance.model.hosted import HostAction
from appliance.model.ids import MachineName
from appliance.model.okd import OkdAction
from appliance.model.on_clusters import OnClusters
from appliance.model.slurm import SlurmAction
from appliance.model.switch import BondPorts
from appliance.services.apps import AppDesk
from appliance.services.clusters import ClusterDesk
from appliance.services.hosts import HostDesk
from appliance.services.okd import OkdDesk
from appliance.services.ports import PortDesk
from appliance.services.slurm import SlurmDesk


class Engines:
    def __init__(
        self,
        kubernetes: ClusterDesk,
        slurm: SlurmDesk,
        okd: OkdDesk,
        apps: AppDesk,
        hosts: HostDesk,
        ports: PortDesk,
    ) -> None:
        self._kubernetes, self._slurm, self._okd = kubernetes, slurm, okd
        self._apps, self._hosts, self._ports = apps, hosts, ports

    async def look(self, machine: MachineName, do: OnClusters) -> ClusterSight:
        if isinstance(do, SlurmAction):
            return await self._slurm.look(machine, do)
        if isinstance(do, AppAction):
            return await self._apps.look(do)
        if isinstance(do, HostAction):
            return await self._hosts.look(machine, do)
        if isinstance(do, OkdAction):
            return await self._okd.look(machine, do)
        if isinstance(do, BondPorts):
            return await self._ports.look(machine, do)
        return await self._kubernetes.look(machine, do)

    async def begin(self, machine: MachineName, do: OnClusters) -> str:
        if isinstance(do, SlurmAction):
            return await self._slurm.begin(machine, do)
        if isinstance(do, AppAction):
            return await self._apps.begin(do)
        if isinstance(do, HostAction):
            return await self._hosts.begin(machine, do)
        if isinstance(do, OkdAction):
            return await self._okd.begin(machine, do)
        if isinstance(do, BondPorts):
            return await self._ports.begin(machine, do)
        return await self._kubernetes.begin(machine, do)
