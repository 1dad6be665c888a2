"""Whether an object in a cluster is what it should be, by what the cluster says of it. Pure.

In the spirit of kstatus (sigs.k8s.io/cli-utils/pkg/kstatus): what its controller has not seen yet says nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from appliance.apps.manifests import Ref, at, is_object, listed
from appliance.model.text import clean

_WORDS = 200
_TROUBLE = frozenset(
    {"CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError", "ErrImagePull", "ImagePullBackOff"}
)


class State(Enum):
    WELL = "well"
    WAITS = "waits"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`why` is "" for what is well."""

    ref: Ref
    state: State
    why: str = ""


def judge(ref: Ref, live: object) -> Verdict:
    """`live` is what the cluster has there, None for nothing."""
    if live is None:
        return _waits(ref, "it is not there")
    if at(live, "metadata", "deletionTimestamp") is not None:
        return _waits(ref, "it is going away")
    if _number(at(live, "metadata", "generation")) > _seen(live):
        return _waits(ref, "the cluster has not taken it up yet")
    match ref.kind:
        case "Deployment":
            return _deployment(ref, live)
        case "StatefulSet" | "ReplicaSet":
            return _replicated(ref, live)
        case "DaemonSet":
            return _everywhere(ref, live)
        case "Job":
            return _job(ref, live)
        case "Pod":
            return _pod(ref, live)
        case "PersistentVolumeClaim":
            return _phase(ref, live, "Bound")
        case "Service":
            return _service(ref, live)
        case "CustomResourceDefinition":
            return _condition(ref, live, "Established")
        case _:
            return Verdict(ref=ref, state=State.WELL)


def trouble(pods: Sequence[object]) -> str:
    """What keeps pods from running, "" for nothing that is known."""
    for pod in pods:
        for status in _containers(pod):
            if why := _container(status):
                return clean(f"{at(status, 'name')} of {at(pod, 'metadata', 'name')}: {why}", _WORDS)
        for condition in listed(at(pod, "status", "conditions")):
            match condition:
                case {"type": "PodScheduled", "status": "False", "message": str(message)}:
                    return clean(f"{at(pod, 'metadata', 'name')} has no node: {message}", _WORDS)
    return ""


def _container(status: object) -> str:
    """One that crashes is in one of three states, whenever it is looked at."""
    reason, message = at(status, "state", "waiting", "reason"), at(status, "state", "waiting", "message")
    code = at(status, "state", "terminated", "exitCode")
    before = at(status, "lastState", "terminated", "exitCode")
    if reason in _TROUBLE:
        ended = f"; it ended with {before}" if before is not None else ""
        return f"{reason}{ended}" + (f": {message}" if message else "")
    if code:
        return f"it ended with {code}"
    if before is not None and at(status, "ready") is not True:
        return f"it was started again after it had ended with {before}"
    return ""


def selector(live: object) -> str:
    """By which the pods of a workload are found; "" where it has none."""
    labels = at(live, "spec", "selector", "matchLabels")
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items())) if is_object(labels) else ""


def _deployment(ref: Ref, live: object) -> Verdict:
    for condition in listed(at(live, "status", "conditions")):
        match condition:
            case {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": str(why)}:
                return Verdict(ref=ref, state=State.FAILED, why=clean(why, _WORDS))
    return _replicated(ref, live)


def _replicated(ref: Ref, live: object) -> Verdict:
    wanted = _number(at(live, "spec", "replicas"), 1)
    counted = {name: _number(at(live, "status", name)) for name in ("replicas", "updatedReplicas", "readyReplicas")}
    available = _number(at(live, "status", "availableReplicas"), counted["readyReplicas"])
    updated = counted["updatedReplicas"] if ref.kind != "ReplicaSet" else wanted
    if updated < wanted:
        return _waits(ref, f"{updated} of {wanted} are of this version")
    if counted["replicas"] > wanted:
        return _waits(ref, f"{counted['replicas'] - wanted} of an earlier version are still there")
    if min(available, counted["readyReplicas"]) < wanted:
        return _waits(ref, f"{min(available, counted['readyReplicas'])} of {wanted} are ready")
    return Verdict(ref=ref, state=State.WELL)


def _everywhere(ref: Ref, live: object) -> Verdict:
    wanted = _number(at(live, "status", "desiredNumberScheduled"))
    for name, words in (("updatedNumberScheduled", "are of this version"), ("numberAvailable", "are ready")):
        if (found := _number(at(live, "status", name))) < wanted:
            return _waits(ref, f"{found} of {wanted} {words}")
    return Verdict(ref=ref, state=State.WELL)


def _job(ref: Ref, live: object) -> Verdict:
    for condition in listed(at(live, "status", "conditions")):
        match condition:
            case {"type": "Complete", "status": "True"}:
                return Verdict(ref=ref, state=State.WELL)
            case {"type": "Failed", "status": "True"}:
                why = clean(str(at(condition, "message") or "it failed"), _WORDS)
                return Verdict(ref=ref, state=State.FAILED, why=why)
    return _waits(ref, "it has not ended")


def _pod(ref: Ref, live: object) -> Verdict:
    match at(live, "status", "phase"):
        case "Succeeded":
            return Verdict(ref=ref, state=State.WELL)
        case "Failed":
            return Verdict(
                ref=ref, state=State.FAILED, why=clean(str(at(live, "status", "message") or "failed"), _WORDS)
            )
        case _:
            return _condition(ref, live, "Ready")


def _service(ref: Ref, live: object) -> Verdict:
    if at(live, "spec", "type") == "LoadBalancer" and not listed(at(live, "status", "loadBalancer", "ingress")):
        return _waits(ref, "no balancer leads to it yet")
    return Verdict(ref=ref, state=State.WELL)


def _phase(ref: Ref, live: object, wanted: str) -> Verdict:
    phase = at(live, "status", "phase")
    return Verdict(ref=ref, state=State.WELL) if phase == wanted else _waits(ref, f"it is {phase or 'new'}")


def _condition(ref: Ref, live: object, wanted: str) -> Verdict:
    for condition in listed(at(live, "status", "conditions")):
        match condition:
            case {"type": str(kind), "status": "True"} if kind == wanted:
                return Verdict(ref=ref, state=State.WELL)
    return _waits(ref, f"it is not {wanted} yet")


def _seen(live: object) -> int:
    """By its controller; what has none was seen."""
    found = at(live, "status", "observedGeneration")
    return _number(found) if found is not None else _number(at(live, "metadata", "generation"))


def _containers(pod: object) -> Sequence[object]:
    names = ("initContainerStatuses", "containerStatuses")
    return [status for name in names for status in listed(at(pod, "status", name))]


def _number(value: object, missing: int = 0) -> int:
    return value if isinstance(value, int) and value is not True else missing


def _waits(ref: Ref, why: str) -> Verdict:
    return Verdict(ref=ref, state=State.WAITS, why=why)


def words(verdicts: Sequence[Verdict], causes: Mapping[Ref, str]) -> str:
    """Of those that are not well, the first few; `causes` is what more is known."""
    bad = [one for one in verdicts if one.state is not State.WELL]
    told = [f"{one.ref}: {one.why}" + (f" ({cause})" if (cause := causes.get(one.ref)) else "") for one in bad[:3]]
    more = f"; and {len(bad) - len(told)} more" if len(bad) > len(told) else ""
    return "; ".join(told) + more
