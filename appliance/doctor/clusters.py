"""What clusters said of themselves last. A cluster in trouble keeps no machine from being installed, so that the worst
is a warning. Pure."""

from collections.abc import Iterator, Sequence

from appliance.doctor.say import good, unknown, warning
from appliance.model.cluster_views import ApiState, ClusterNodeView, ClusterView, Membership
from appliance.model.doctor import Check, Finding

_NODES_SHOWN = 8


def clusters(found: Sequence[ClusterView]) -> tuple[Finding, ...]:
    """Nothing where the appliance has none, or none is founded yet."""
    founded = [one for one in found if one.api.state is not ApiState.UNFOUNDED]
    if not founded:
        return ()
    bad = tuple(finding for one in founded for finding in _of(one))
    says = ", ".join(f"{one.name}: {one.ready} of {one.wanted} nodes" for one in founded)
    return bad or (good(Check.CLUSTERS, "every cluster answers, and its nodes are ready", says),)


def _of(one: ClusterView) -> Iterator[Finding]:
    more = f"innervate cluster show {one.name}"
    match one.api.state:
        case ApiState.UNSEEN:
            yield unknown(Check.CLUSTERS, f"nobody has asked the cluster {one.name} yet", "", "look again", more)
        case ApiState.SILENT:
            cause, seen = f"the API of the cluster {one.name} does not answer", f"{one.api.lacks}; {one.api.evidence}"
            action = one.api.next_action or "look at the control planes and at the balancer"
            yield warning(Check.CLUSTERS, cause, seen.strip("; "), action, more)
        case ApiState.NOT_READY:
            cause = f"the API of the cluster {one.name} says that it is not ready"
            yield warning(Check.CLUSTERS, cause, one.api.lacks, "look at the control planes", more)
        case ApiState.READY | ApiState.UNFOUNDED:
            pass
    if one.api.state in (ApiState.READY, ApiState.NOT_READY):
        yield from (_unready(one, node, more) for node in _absent(one)[:_NODES_SHOWN])


def _absent(one: ClusterView) -> list[ClusterNodeView]:
    """Members that are no ready nodes; what joins now is no trouble."""
    members = (node for node in one.nodes if node.state in (Membership.MEMBER, Membership.CONFIRMED))
    return [node for node in members if node.said is None or not node.said.ready]


def _unready(one: ClusterView, node: ClusterNodeView, more: str) -> Finding:
    if node.said is None:
        cause, seen = f"the cluster {one.name} does not list its node {node.name}", ""
    else:
        cause, seen = f"{node.name} is no ready node of the cluster {one.name}", node.said.why
    return warning(Check.CLUSTERS, cause, seen, f"look at the machine: innervate explain {node.name}", more, node.name)
