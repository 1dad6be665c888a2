"""Steps of clusters go to whoever makes clusters of their engine."""

from appliance.conductor.decision import ClusterSight
from appliance.model.ids import MachineName
from appliance.model.okd import OkdAction
from appliance.model.slurm import OnClusters, SlurmAction
from appliance.services.clusters import ClusterDesk
from appliance.services.okd import OkdDesk
from appliance.services.slurm import SlurmDesk


class Engines:
    def __init__(self, kubernetes: ClusterDesk, slurm: SlurmDesk, okd: OkdDesk) -> None:
        self._kubernetes, self._slurm, self._okd = kubernetes, slurm, okd

    async def look(self, machine: MachineName, do: OnClusters) -> ClusterSight:
        if isinstance(do, SlurmAction):
            return await self._slurm.look(machine, do)
        if isinstance(do, OkdAction):
            return await self._okd.look(machine, do)
        return await self._kubernetes.look(machine, do)

    async def begin(self, machine: MachineName, do: OnClusters) -> str:
        if isinstance(do, SlurmAction):
            return await self._slurm.begin(machine, do)
        if isinstance(do, OkdAction):
            return await self._okd.begin(machine, do)
        return await self._kubernetes.begin(machine, do)
