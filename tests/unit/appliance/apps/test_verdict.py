"""What a cluster says of an object, and what is thought of it."""

import pytest

from appliance.apps.manifests import Ref
from appliance.apps.verdict import State, Verdict, judge, selector, trouble, words


def ref(kind: str) -> Ref:
    return Ref(api="v1", kind=kind, namespace="front", name="web")


def live(status: object = None, spec: object = None, **metadata: object) -> dict[str, object]:
    return {"metadata": {"name": "web", "generation": 2, **metadata}, "spec": spec or {}, "status": status or {}}


def counted(replicas: int, updated: int, ready: int, available: int | None = None, seen: int = 2) -> dict[str, object]:
    status: dict[str, object] = {
        "replicas": replicas,
        "updatedReplicas": updated,
        "readyReplicas": ready,
        "observedGeneration": seen,
    }
    return status | ({"availableReplicas": available} if available is not None else {})


def condition(kind: str, status: str = "True", **more: str) -> dict[str, object]:
    return {"conditions": [{"type": "Other", "status": "True"}, {"type": kind, "status": status, **more}]}


TWO = {"replicas": 2}
LATE = condition("Progressing", "False", reason="ProgressDeadlineExceeded", message="too \x1b[31mlate")
OPEN = {"type": "LoadBalancer"}
LED = {"loadBalancer": {"ingress": [{"ip": "10.77.0.1"}]}}


@pytest.mark.parametrize(
    ("kind", "there", "state", "why"),
    [
        ("ConfigMap", None, State.WAITS, "not there"),
        ("ConfigMap", live(), State.WELL, ""),
        ("ConfigMap", live(deletionTimestamp="now"), State.WAITS, "going away"),
        ("Deployment", live(counted(2, 2, 2, 2, seen=1), TWO), State.WAITS, "not taken it up"),
        ("Deployment", live(counted(2, 1, 2, 2), TWO), State.WAITS, "1 of 2 are of this version"),
        ("Deployment", live(counted(3, 2, 3, 3), TWO), State.WAITS, "1 of an earlier version"),
        ("Deployment", live(counted(2, 2, 1, 1), TWO), State.WAITS, "1 of 2 are ready"),
        ("Deployment", live(counted(2, 2, 2, 2), TWO), State.WELL, ""),
        ("Deployment", live(counted(0, 0, 0, 0), {"replicas": 0}), State.WELL, ""),
        ("Deployment", live(LATE, TWO), State.FAILED, "too late"),
        ("StatefulSet", live(counted(2, 2, 2), TWO), State.WELL, ""),
        ("ReplicaSet", live({"replicas": 2, "readyReplicas": 2}, TWO), State.WELL, ""),
        ("DaemonSet", live({"desiredNumberScheduled": 3, "updatedNumberScheduled": 2}), State.WAITS, "2 of 3"),
        (
            "DaemonSet",
            live({"desiredNumberScheduled": 1, "updatedNumberScheduled": 1, "numberAvailable": 1}),
            State.WELL,
            "",
        ),
        ("Job", live(), State.WAITS, "not ended"),
        ("Job", live(condition("Complete")), State.WELL, ""),
        ("Job", live(condition("Failed", message="no disk")), State.FAILED, "no disk"),
        ("Pod", live({"phase": "Running", **condition("Ready")}), State.WELL, ""),
        ("Pod", live({"phase": "Running"}), State.WAITS, "not Ready"),
        ("Pod", live({"phase": "Failed", "message": "evicted"}), State.FAILED, "evicted"),
        ("PersistentVolumeClaim", live({"phase": "Pending"}), State.WAITS, "Pending"),
        ("PersistentVolumeClaim", live({"phase": "Bound"}), State.WELL, ""),
        ("Service", live(spec={"type": "ClusterIP"}), State.WELL, ""),
        ("Service", live(spec=OPEN), State.WAITS, "no balancer"),
        ("Service", live(LED, OPEN), State.WELL, ""),
        ("CustomResourceDefinition", live(condition("Established")), State.WELL, ""),
        ("Unheard", live("nonsense"), State.WELL, ""),
    ],
)
def test_what_is_thought_of_it(kind: str, there: object, state: State, why: str) -> None:
    found = judge(ref(kind), there)
    assert found.state is state
    assert why in found.why
    assert "\x1b" not in found.why


def test_why_pods_do_not_run() -> None:
    waiting = {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}, "name": "web"}
    crashed = {"lastState": {"terminated": {"exitCode": 2}}, **waiting}
    pod = {"metadata": {"name": "web-1"}, "status": {"containerStatuses": [{"name": "ok"}, crashed]}}
    assert trouble([pod]) == "web of web-1: CrashLoopBackOff; it ended with 2: back-off"
    ended = {"name": "web", "state": {"terminated": {"exitCode": 1}}}
    again = {"name": "web", "ready": False, "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1}}}
    for status, why in (
        (ended, "it ended with 1"),
        (again, "it was started again after it had ended with 1"),
    ):
        found = trouble([{"metadata": {"name": "web-1"}, "status": {"containerStatuses": [status]}}])
        assert found == f"web of web-1: {why}"
    assert trouble([{"status": {"containerStatuses": [{**again, "ready": True}]}}]) == ""
    homeless = condition("PodScheduled", "False", message="0/2 nodes are available")
    assert (
        trouble([{"metadata": {"name": "web-2"}, "status": homeless}]) == "web-2 has no node: 0/2 nodes are available"
    )
    assert trouble([{"status": None}, "nonsense"]) == ""


def test_pods_of_a_workload() -> None:
    assert selector(live(spec={"selector": {"matchLabels": {"b": "2", "a": "1"}}})) == "a=1,b=2"
    assert selector(live(spec={"selector": {"app": "web"}})) == ""


def test_the_first_few_are_told() -> None:
    bad = [Verdict(ref=ref(kind), state=State.WAITS, why="no") for kind in "ABCDE"]
    well = Verdict(ref=ref("F"), state=State.WELL)
    assert words([well, *bad], {ref("A"): "x"}) == "A web: no (x); B web: no; C web: no; and 2 more"
    assert words([well], {}) == ""
