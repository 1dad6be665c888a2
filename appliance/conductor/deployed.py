"""Which version of each application was seen to be well last, after a step was done. Pure."""

from collections.abc import Mapping
from typing import TypeAlias

from appliance.model.application import AppName, DeployApplication, Deployed, RetireApplication
from appliance.model.cluster import ClusterName, EndCluster
from appliance.plan import Action

Applications: TypeAlias = Mapping[tuple[ClusterName, AppName], Deployed]


def deployed(before: Applications, do: Action, now: float) -> Applications:
    match do:
        case DeployApplication(cluster=cluster, app=app):
            return {**before, (cluster.name, app.name): Deployed(cluster=cluster, app=app, since=now)}
        case RetireApplication(cluster=cluster, app=app):
            return {key: one for key, one in before.items() if key != (cluster.name, app.name)}
        case EndCluster(cluster=cluster):
            return {key: one for key, one in before.items() if key[0] != cluster.name}
        case _:
            return before
