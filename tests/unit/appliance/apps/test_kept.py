"""What a cluster remembers of an application, what others changed of it, and the test by which it is believed."""

import pytest

from appliance.apps import drift, kept, smoke
from appliance.apps.kept import Kept
from appliance.apps.manifests import Ref, at
from appliance.errors import ClusterError, UsageError
from appliance.model.application import AppName

SERVICE = Ref(api="v1", kind="Service", namespace="front", name="web")
ROLE = Ref(api="rbac.authorization.k8s.io/v1", kind="ClusterRole", namespace="", name="web")
KEPT = Kept(name=AppName("web"), namespace="front", revision="c" * 64, version="1.0.0", refs=(SERVICE, ROLE))


def there() -> dict[str, object]:
    made = dict(kept.body(KEPT))
    metadata = made["metadata"]
    assert isinstance(metadata, dict)
    return made | {"metadata": {**metadata, "namespace": "front", "uid": "1"}}


def test_it_comes_back_as_it_was() -> None:
    found = kept.read(there())
    assert (found.name, found.namespace, found.revision, found.version) == ("web", "front", "c" * 64, "1.0.0")
    assert set(found.refs) == {SERVICE, ROLE}
    assert kept.place(AppName("web"), "front").name == at(there(), "metadata", "name")


@pytest.mark.parametrize(
    "data", [{}, {"revision": "c", "version": "1"}, {"revision": 1, "version": "1", "objects": "[]"}]
)
def test_a_strange_account_is_not_believed(data: dict[str, object]) -> None:
    with pytest.raises(ClusterError):
        kept.read(there() | {"data": data})


@pytest.mark.parametrize("rows", ["{", '[["v1"]]', "[1]"])
def test_nor_is_one_with_strange_objects(rows: str) -> None:
    with pytest.raises(ClusterError):
        kept.read(there() | {"data": {"revision": "c", "version": "1", "objects": rows}})


def test_what_no_version_wants_any_more_is_left_over() -> None:
    assert kept.left_over(KEPT, [SERVICE]) == (ROLE,)
    assert kept.left_over(KEPT, [SERVICE, ROLE]) == ()


def test_drift_is_what_the_cluster_would_change() -> None:
    live = {
        "metadata": {"name": "web", "resourceVersion": "7", "managedFields": []},
        "spec": {"a": [1, 2]},
        "status": 1,
    }
    same = {"metadata": {"name": "web", "resourceVersion": "8", "generation": 3}, "spec": {"a": [1, 2]}, "status": 2}
    assert drift.differences(live, same) == ""
    assert drift.differences(live, same | {"spec": {"a": [1, 3], "b": None}}) == "spec.a[1]"
    assert drift.differences(live, same | {"spec": {"a": [1]}}) == "spec.a"
    many = {name: {"x": 1} for name in "abcde"}
    assert drift.differences({"metadata": None}, {"metadata": None, **many}) == "a, b, c and 2 more"


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"[]",
        b'{"service": "web"}',
        b'{"service": "Web", "port": 80}',
        b'{"service": "web", "port": 0}',
        b'{"service": "web", "port": 80, "path": "x"}',
        b'{"service": "web", "port": 80, "path": "/a b"}',
        b'{"service": "web", "port": 80, "status": "200"}',
        b'{"service": "web", "port": 80, "more": 1}',
        b'{"service": "../..", "port": 80}',
    ],
)
def test_a_malformed_smoke_test_is_refused(raw: bytes) -> None:
    with pytest.raises(UsageError):
        smoke.read(raw)


def test_a_version_is_believed_by_its_answer() -> None:
    test = smoke.read(b'{"service": "web", "port": 80, "path": "/health", "contains": "fine"}')
    assert smoke.lacks(test, 200, b"all is fine") == ""
    assert smoke.lacks(test, 503, b"fine") == "web/health answers 503 where 200 is wanted"
    assert smoke.lacks(test, 200, b"\x1b[31mbad") == "web/health answers 'bad', without 'fine' in it"
