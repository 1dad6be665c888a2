"""The last look at each cluster, as a value. Kept in memory alone: after a start the cluster is asked anew."""

from collections.abc import Container
from dataclasses import dataclass, replace

from appliance.errors import InnervateError
from appliance.kubernetes.objects import Node
from appliance.model.cluster import ClusterName
from appliance.model.text import clean

_SHORT, _LONG, _NAMED = 300, 1000, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterLook:
    """`looked` is when the API last answered, and `nodes` and `lacks` are what it said then. `silent_since` is the
    first of the looks that it did not answer since, `trouble` why it did not answer the last one. Seconds since the
    epoch; None for never since the daemon started."""

    cluster: ClusterName
    looked: float | None = None
    lacks: str = ""
    nodes: tuple[Node, ...] = ()
    silent_since: float | None = None
    trouble: str = ""
    evidence: str = ""
    next_action: str = ""

    @property
    def is_ready(self) -> bool:
        return self.looked is not None and self.silent_since is None and not self.lacks

    def answered(self, lacks: str, nodes: tuple[Node, ...], now: float) -> "ClusterLook":
        return ClusterLook(cluster=self.cluster, looked=now, lacks=lacks, nodes=nodes)

    def silent(self, error: InnervateError, now: float) -> "ClusterLook":
        """What it said before stays what it last said."""
        return replace(
            self,
            silent_since=now if self.silent_since is None else self.silent_since,
            trouble=clean(str(error), _SHORT),
            evidence=clean(error.evidence, _LONG),
            next_action=clean(error.next_action, _SHORT),
        )


class ClusterLooks:
    """Written by the watch, read by whoever shows clusters; on one loop."""

    def __init__(self) -> None:
        self._last: dict[ClusterName, ClusterLook] = {}

    def of(self, cluster: ClusterName) -> ClusterLook:
        return self._last.get(cluster) or ClusterLook(cluster=cluster)

    def keep(self, look: ClusterLook) -> None:
        self._last[look.cluster] = look

    def retain(self, clusters: Container[ClusterName]) -> None:
        """Another cluster may get the name of one that ended."""
        self._last = {name: look for name, look in self._last.items() if name in clusters}


def change_of(before: ClusterLook, now: ClusterLook) -> str:
    """What is to be told of it, in one sentence; "" where nothing turned. The first look after a start tells only what
    is wrong."""
    if now.silent_since is not None:
        same = before.silent_since is not None and before.trouble == now.trouble
        return "" if same else f"{now.cluster} cannot be watched: {now.trouble}"
    state, first = _state(now), before.looked is None and before.silent_since is None
    if first:
        return "" if _is_well(now) else f"{now.cluster} {state}"
    same = before.silent_since is None and _state(before) == state
    return "" if same else f"{now.cluster} {state}"


def _is_well(look: ClusterLook) -> bool:
    return look.is_ready and all(node.ready for node in look.nodes)


def _state(look: ClusterLook) -> str:
    """By the nodes' names alone: why one is not ready may be worded anew with each look."""
    if look.lacks:
        return f"answers and is not ready: {look.lacks}"
    absent = sorted(node.name for node in look.nodes if not node.ready)
    ready = f"answers; {len(look.nodes) - len(absent)} of {len(look.nodes)} nodes are ready"
    if not absent:
        return ready
    more = f" and {len(absent) - _NAMED} more" if len(absent) > _NAMED else ""
    return f"{ready}, not {', '.join(absent[:_NAMED])}{more}"
