"""What a cluster says of itself, and what the site serves for it."""

from ipaddress import IPv4Address

import pytest

from appliance.errors import ClusterError
from appliance.model.balancer import HttpsCheck
from appliance.okd import objects, serving
from tests.unit.appliance.okd.samples import COMPACT, FULL


def thing(name: str, **conditions: str) -> dict[str, object]:
    listed = [{"type": kind, "status": status, "message": f"{kind} says so"} for kind, status in conditions.items()]
    return {"metadata": {"name": name}, "status": {"conditions": listed}}


WELL = {"Available": "True", "Progressing": "False", "Degraded": "False"}


def unwell(version: object, operators: tuple[object, ...], pools: tuple[object, ...]) -> tuple[str, ...]:
    _, said = objects.version_of(version)
    return objects.unwell(said, objects.said_of(operators), objects.said_of(pools))


def test_a_cluster_at_rest_lacks_nothing() -> None:
    pools = (thing("master", Updated="True", Updating="False"),)
    assert unwell(thing("version", **WELL), (thing("etcd", **WELL),), pools) == ()


def test_whatever_is_not_at_rest_is_said() -> None:
    operators = (
        thing("etcd", Available="False"),
        thing("ingress", **{**WELL, "Degraded": "True"}),
        thing("dns", **{**WELL, "Progressing": "True"}),
    )
    pools = (thing("worker", Updated="False", Updating="True"),)
    assert unwell(thing("version"), operators, pools) == (
        "version is not available",
        "etcd is not available: Available says so",
        "ingress is degraded: Degraded says so",
        "dns is progressing: Progressing says so",
        "worker is not updated: Updated says so",
    )


def test_the_release_that_runs_is_the_one_that_was_completed() -> None:
    partial = {"state": "Partial", "version": "4.19.0-okd-scos.10"}
    value = {"metadata": {"name": "version"}, "status": {"history": [partial]}}
    assert objects.version_of(value)[0] == ""
    value["status"] = {"history": [{**partial, "state": "Completed"}]}
    assert objects.version_of(value)[0] == "4.19.0-okd-scos.10"


def test_bootstrapping_is_complete_when_the_map_says_so() -> None:
    assert objects.bootstrapped({"data": {"status": "complete"}})
    assert not objects.bootstrapped({"data": {"status": "progressing"}})
    assert not objects.bootstrapped(None)


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(ClusterError, match="object of OKD"):
        objects.said_of(({"metadata": {}},))


def test_the_bootstrap_machine_stands_behind_until_the_cluster_holds_itself() -> None:
    starting = {one.name: one for one in serving.listeners(FULL, starting=True)}
    after = {one.name: one for one in serving.listeners(FULL, starting=False)}
    for name in ("prod-api", "prod-configs"):
        assert [one.name for one in starting[name].backends if one.backup] == ["boot"]
        assert not any(one.backup for one in after[name].backends)
    assert starting["prod-api"].check == HttpsCheck(path="/readyz")
    assert starting["prod-configs"].sources == (FULL.machines,), "secrets are behind it"
    assert [one.port for one in starting.values()] == list(serving.PORTS)


def test_applications_are_with_workers_and_where_there_are_none_with_control_planes() -> None:
    def https(spec: object) -> list[str]:
        found = next(one for one in serving.listeners(spec, starting=False) if one.port == serving.HTTPS)  # type: ignore[arg-type]
        assert found.affinity
        return [one.name for one in found.backends]

    assert https(FULL) == ["w-0", "w-1"]
    assert https(COMPACT) == ["cp-0", "cp-1", "cp-2"]


def test_names_of_the_cluster_lead_to_its_address() -> None:
    assert {one.name: one.address for one in serving.records(FULL)} == dict.fromkeys(
        ("api.prod.lab.test", "api-int.prod.lab.test", "*.apps.prod.lab.test"), IPv4Address("10.77.0.1")
    )
