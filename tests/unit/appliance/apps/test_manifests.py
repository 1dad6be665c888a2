"""What a package states becomes what one cluster is told: labelled, by digest, in an order in which it can be done."""

import json

import pytest

from appliance.apps.manifests import APPLICATION, Document, at, defines_namespaced, documents, read
from appliance.errors import UsageError
from appliance.model.application import AppName
from images.application.documents import Value
from images.artifact_set import ArtifactSet, Engine, Provenance, SetImage

DIGEST = "sha256:" + "a" * 64
WEB = ArtifactSet(
    engine=Engine.APPLICATION,
    version="1.0.0",
    arch="amd64",
    provenance=Provenance.GENUINE,
    files=(),
    images=(SetImage(repository="apps/web", tag="1.0.0", digest=DIGEST),),
    application="web",
)
PODS: dict[str, Value] = {"containers": [{"name": "web", "image": "apps/web:1.0.0", "args": ["-p", "80"]}]}
TEMPLATE: dict[str, Value] = {"template": {"spec": PODS}}


def kind(name: str, spec: Value = None, api: str = "v1", **metadata: Value) -> dict[str, Value]:
    return {"apiVersion": api, "kind": name, "metadata": {"name": "web", **metadata}, "spec": spec}


def told(*objects: dict[str, Value]) -> tuple[Document, ...]:
    return documents(objects, AppName("web"), "front", WEB, "10.77.0.1:5000")


def test_documents_stand_behind_lines() -> None:
    one, two = kind("Service"), kind("ConfigMap")
    assert read(f"---\n{json.dumps(one)}\n---\n{json.dumps(two, indent=1)}\n".encode()) == (one, two)


@pytest.mark.parametrize("raw", [b"", b"---\n", b"[]", b"{", b"\xff", b"a: b\n---\n1", b"[" * 100_000])
def test_what_is_no_document_is_refused(raw: bytes) -> None:
    with pytest.raises(UsageError):
        read(raw)


def test_what_others_need_comes_first() -> None:
    names = ["Ingress", "Deployment", "Service", "ConfigMap", "Namespace", "CustomResourceDefinition"]
    assert [one.ref.kind for one in told(*map(kind, names))] == [
        *("Namespace", "CustomResourceDefinition", "ConfigMap", "Service", "Deployment", "Ingress")
    ]


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("Pod", PODS),
        ("Deployment", TEMPLATE),
        ("StatefulSet", TEMPLATE),
        ("Job", TEMPLATE),
        ("CronJob", {"jobTemplate": {"spec": TEMPLATE}}),
    ],
)
def test_images_are_pulled_by_digest_from_the_appliance(name: str, spec: Value) -> None:
    made = told(kind(name, spec))
    assert list(made[0].images) == [f"10.77.0.1:5000/apps/web@{DIGEST}"]
    assert '"-p", "80"' in json.dumps(made[0].body)


def test_containers_that_begin_before_the_others_are_no_way_around() -> None:
    init: dict[str, Value] = {**PODS, "initContainers": [{"name": "first", "image": "elsewhere.test/evil:1"}]}
    with pytest.raises(UsageError, match=r"holds no image 'elsewhere\.test/evil:1'"):
        told(kind("Pod", init))


def test_everything_is_found_by_its_application() -> None:
    (made,) = told(kind("Service", labels={"tier": "front", APPLICATION: "somebody-else"}))
    labels = at(made.body, "metadata", "labels")
    assert labels == {"tier": "front", APPLICATION: "web", "app.kubernetes.io/managed-by": "innervate"}
    assert (made.ref.namespace, str(made.ref)) == ("front", "Service web")


def test_ports_say_their_protocol() -> None:
    ports: list[Value] = [{"port": 80}, {"port": 53, "protocol": "UDP"}]
    (made,) = told(kind("Service", {"ports": ports}))
    assert at(made.body, "spec", "ports") == [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]


def test_kinds_may_come_with_the_package() -> None:
    spec: dict[str, Value] = {"group": "shop.test", "names": {"kind": "Till"}, "scope": "Cluster"}
    made = told(kind("CustomResourceDefinition", spec), kind("Till", api="shop.test/v1"))
    (till,) = (one.ref for one in made if one.ref.kind == "Till")
    assert not defines_namespaced(till, made)
    assert defines_namespaced(till, told(kind("CustomResourceDefinition", {**spec, "scope": "Namespaced"})))
    with pytest.raises(UsageError, match="knows what a Till"):
        defines_namespaced(till, ())


@pytest.mark.parametrize(
    "objects",
    [
        (kind("Service"), kind("Service")),
        ({"kind": "Service", "metadata": {"name": "web"}},),
        ({"apiVersion": "v1", "metadata": {"name": "web"}},),
        ({"apiVersion": "v1", "kind": "Service", "metadata": {}},),
        ({"apiVersion": "v1", "kind": "Service"},),
    ],
)
def test_what_cannot_be_named_is_refused(objects: tuple[dict[str, Value], ...]) -> None:
    with pytest.raises(UsageError, match="malformed"):
        told(*objects)
