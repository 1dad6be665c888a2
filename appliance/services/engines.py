"""Steps of clusters go to whoever makes clusters of their engine, those of ports to whoever speaks with switches."""

from appliance.conductor.decision import ClusterSight
from appliance.model.ids import MachineName
from appliance.model.slurm import OnClusters, SlurmAction
from appliance.model.switch import BondPorts
from appliance.services.clusters import ClusterDesk
from appliance.services.ports import PortDesk
from appliance.services.slurm import SlurmDesk


class Engines:
    def __init__(self, kubernetes: ClusterDesk, slurm: SlurmDesk, ports: PortDesk) -> None:
        self._kubernetes, self._slurm, self._ports = kubernetes, slurm, ports

    async def look(self, machine: MachineName, do: OnClusters) -> ClusterSight:
        if isinstance(do, SlurmAction):
            return await self._slurm.look(machine, do)
        if isinstance(do, BondPorts):
            return await self._ports.look(machine, do)
        return await self._kubernetes.look(machine, do)

    async def begin(self, machine: MachineName, do: OnClusters) -> str:
        if isinstance(do, SlurmAction):
            return await self._slurm.begin(machine, do)
        if isinstance(do, BondPorts):
            return await self._ports.begin(machine, do)
        return await self._kubernetes.begin(machine, do)
