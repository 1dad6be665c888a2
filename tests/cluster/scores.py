"""What tests of clusters say to the product, and ask of what came of it."""

from appliance.conductor.runs import RunStatus
from appliance.model.views import RunState
from appliance.plan import Plan
from appliance.scores.cluster import KubernetesCluster
from tests.cluster.nodes import Node
from tests.cluster.place import Place


def cluster(place: Place, planes: tuple[Node, ...], workers: tuple[Node, ...]) -> KubernetesCluster:
    return KubernetesCluster(
        cluster="prod",
        set=place.artifacts.name,
        control_planes=tuple(one.name for one in planes),
        workers=tuple(one.name for one in workers),
    )


def ids(plan: Plan) -> list[str]:
    return [step.id.removeprefix("cluster.") for step in plan.steps]


def done(ended: RunStatus) -> bool:
    assert ended.state is RunState.DONE, [one.result for one in ended.attempts.values()]
    return True
