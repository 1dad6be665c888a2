"""How clusters stand, as metrics. What a cluster does not say now is left out. Pure."""

from collections.abc import Iterator, Sequence

from appliance.metrics import catalogue
from appliance.metrics.model import Family, by_label
from appliance.model.cluster_views import ApiState, ClusterNodeView, ClusterView, Membership

_MEMBER = (Membership.MEMBER, Membership.CONFIRMED)
_UP = {ApiState.READY: 1, ApiState.NOT_READY: 0, ApiState.SILENT: 0}


def cluster_families(clusters: Sequence[ClusterView]) -> Iterator[Family]:
    yield by_label(catalogue.CLUSTER_UP, {one.name: _UP[one.api.state] for one in clusters if one.api.state in _UP})
    yield by_label(catalogue.CLUSTER_WANTED, {one.name: len(_members(one)) for one in clusters})
    yield by_label(catalogue.CLUSTER_READY, {one.name: _ready(one) for one in clusters if one.ready is not None})
    yield by_label(catalogue.CLUSTER_REFUSED, {one.name: one.refused.count for one in clusters})
    ends = {one.name: one.access_ends for one in clusters if one.access_ends is not None}
    yield by_label(catalogue.CLUSTER_EXPIRY, ends)


def _members(one: ClusterView) -> tuple[ClusterNodeView, ...]:
    """Not who joins: that takes its time, and is no trouble."""
    return tuple(node for node in one.nodes if node.state in _MEMBER)


def _ready(one: ClusterView) -> int:
    return sum(node.said is not None and node.said.ready for node in _members(one))
