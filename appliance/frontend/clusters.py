"""What front-ends say of clusters in the same words. Pure."""

from typing import assert_never

from appliance.model.cluster_views import ApiState, BackendView, ClusterNodeView, ClusterView, Membership
from appliance.model.standing import Standing


def ready_text(one: ClusterView) -> str:
    """How many of its nodes are ready; a question mark where it does not say."""
    return f"{'?' if one.ready is None else one.ready} of {one.wanted}"


def cluster_standing(one: ClusterView) -> Standing:
    """How it stands, in the one word that machines are shown with, too."""
    match one.api.state:
        case ApiState.SILENT:
            return Standing.SILENT
        case ApiState.NOT_READY:
            return Standing.DEGRADED
        case ApiState.UNFOUNDED:
            return Standing.RUNNING
        case ApiState.UNSEEN:
            return Standing.UNKNOWN
        case ApiState.READY:
            return _of_nodes(one)
        case _:
            assert_never(one.api.state)


def _of_nodes(one: ClusterView) -> Standing:
    """Who joins is work, and no trouble."""
    if any(map(is_trouble, one.nodes)):
        return Standing.DEGRADED
    joins = any(node.state is Membership.JOINING for node in one.nodes)
    return Standing.RUNNING if joins else Standing.ACTIVE


def node_text(node: ClusterNodeView) -> str:
    """What the cluster said of it, in short."""
    if node.said is None:
        return "not listed" if node.looked is not None else "not asked yet"
    word = "ready" if node.said.ready else "not ready"
    return word if node.said.schedulable else f"{word}, takes no pods"


def is_trouble(node: ClusterNodeView) -> bool:
    """It was asked about, and is no ready node. Who joins need not be one yet."""
    return node.state is not Membership.JOINING and node.looked is not None and not (node.said and node.said.ready)


def api_text(state: ApiState) -> str:
    match state:
        case ApiState.UNFOUNDED:
            return "not founded yet"
        case ApiState.UNSEEN:
            return "nobody has asked it since the appliance started"
        case ApiState.READY:
            return "answers, and is ready"
        case ApiState.NOT_READY:
            return "answers, and is not ready"
        case ApiState.SILENT:
            return "does not answer"
        case _:
            assert_never(state)


def backend_text(backend: BackendView) -> str:
    if backend.out:
        return "taken out"
    return "serves" if backend.well else "does not answer the balancer"
