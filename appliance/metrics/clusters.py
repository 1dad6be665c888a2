"""How clusters stand, as metrics. What a cluster does not say now is left out. Pure."""

from collections.abc import Iterator, Sequence

from appliance.metrics import catalogue
from appliance.metrics.model import Family, by_label
from appliance.model.cluster_views import ApiState, ClusterView

_UP = {ApiState.READY: 1, ApiState.NOT_READY: 0, ApiState.SILENT: 0}


def cluster_families(clusters: Sequence[ClusterView]) -> Iterator[Family]:
    yield by_label(catalogue.CLUSTER_UP, {one.name: _UP[one.api.state] for one in clusters if one.api.state in _UP})
    yield by_label(catalogue.CLUSTER_WANTED, {one.name: one.wanted for one in clusters})
    yield by_label(catalogue.CLUSTER_READY, {one.name: one.ready for one in clusters if one.ready is not None})
    yield by_label(catalogue.CLUSTER_REFUSED, {one.name: one.refused.count for one in clusters})
    ends = {one.name: one.access_ends for one in clusters if one.access_ends is not None}
    yield by_label(catalogue.CLUSTER_EXPIRY, ends)
