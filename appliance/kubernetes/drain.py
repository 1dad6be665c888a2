"""What has to go from a node before it is worked on, as `kubectl drain` decides it. Pure.

https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """`static`: of the node's own files, and nobody else's to move. `owner` is the kind of what would make it anew
    elsewhere, empty where nothing would. `ended`: it ran to its end. `leaving`: it was told to go."""

    namespace: str
    name: str
    owner: str
    static: bool
    ended: bool
    leaving: bool

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """`why` is the cluster's word on a pod that may not go now."""

    pod: Pod
    why: str


_SHOWN = 5


def to_move(pods: Iterable[Pod]) -> tuple[Pod, ...]:
    """All but what belongs to the node itself: daemons come back wherever they are wanted, this node included."""
    return tuple(pod for pod in pods if not (pod.static or pod.ended or pod.owner == "DaemonSet"))


def waits(pods: Sequence[Pod], refused: Sequence[Refusal]) -> str:
    """A sentence of what a drain waits for."""
    names = ", ".join(map(str, pods[:_SHOWN])) + (f" and {len(pods) - _SHOWN} more" if len(pods) > _SHOWN else "")
    why = "".join(f"; {refusal.pod} may not go: {refusal.why}" for refusal in refused[:1])
    return f"still there: {names}{why}"
