"""What of manifests can be packaged, and whose images they run."""

import pytest

from images.application.documents import Value, read
from images.application.manifests import check_smoke, checked, images_in, named
from images.errors import PackageError

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: web}]}\n"
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}, {port: 443}]}\n"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2}\n"
NAMES = {"web": "apps/web:1.0.0", "docker.io/library/web:3": "apps/web:1.0.0"}
TEMPLATE = """
apiVersion: batch/v1
kind: CronJob
metadata: {name: c}
spec:
  jobTemplate:
    spec:
      template:
        spec:
          initContainers: [{name: i, image: "docker.io/library/web:3"}]
          containers: [{name: c, image: web}]
          volumes: [{name: v, image: {reference: web, pullPolicy: Never}}, {name: e, emptyDir: {}}]
---
apiVersion: example.org/v1
kind: Thing
metadata: {name: t}
spec: {parts: [{containers: [{name: x, image: web}]}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: m}
data: {image: "docker.io/not/an/image:1", containers: "none"}
"""


def of(text: str, *clear: str) -> list[str]:
    return [manifest.title for manifest in checked(read(text, "x.yaml"), clear)]


def test_lists_are_expanded_and_the_order_stays() -> None:
    nested = "apiVersion: v1\nkind: List\nitems:\n" + "".join(
        f"- {text.strip()}".replace("\n", "\n  ") + "\n" for text in (SERVICE, POD)
    )
    assert of(nested) == of(f"{SERVICE}---\n{POD}") == ["Service web", "Pod a"]


def test_images_get_their_names_in_the_set_wherever_containers_are() -> None:
    values = [named(manifest, NAMES) for manifest in checked(read(TEMPLATE, "x.yaml"))]
    assert [images_in(value) for value in values] == [("apps/web:1.0.0",), ("apps/web:1.0.0",), ()]
    data: Value = values[2]["data"]
    assert data == {"image": "docker.io/not/an/image:1", "containers": "none"}, "a text that only looks like one"
    assert str(values[0]).count("apps/web:1.0.0") == 3


FOREIGN = {
    "a registry's host": "registry.example:5000/web:1.0.0",
    "latest": "web:latest",
    "no tag": "nginx",
    "another tag": "apps/web:1.0.1",
    "a digest": f"web@sha256:{'ab' * 32}",
    "nothing": '""',
}


@pytest.mark.parametrize("case", FOREIGN)
def test_an_image_that_the_set_does_not_hold(case: str) -> None:
    (manifest,) = checked(read(POD.replace("image: web", f"image: {FOREIGN[case]}"), "x.yaml"))
    with pytest.raises(PackageError, match=r"Pod a runs .* which the package") as caught:
        named(manifest, NAMES)
    assert "apps/web:1.0.0" in caught.value.evidence
    assert "replaces" in caught.value.next_action


def test_an_operator_may_add_to_containers_of_its_own() -> None:
    text = POD.replace("v1", "example.org/v1").replace(", image: web", "")
    (manifest,) = checked(read(text, "x.yaml"))
    assert named(manifest, NAMES) == manifest.value
    assert images_in(manifest.value) == ()


def test_a_container_without_an_image() -> None:
    (manifest,) = checked(read(POD.replace(", image: web", ""), "x.yaml"))
    with pytest.raises(PackageError, match="Pod a has a container without an image"):
        named(manifest, NAMES)


NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: NAME}\n"
IN_SHOP = POD.replace("{name: a}", "{name: a, namespace: shop}")
REFUSED = {
    "no apiVersion": (POD.replace("apiVersion: v1\n", ""), "x.yaml:1: not a Kubernetes object"),
    "an apiVersion that is none": (POD.replace("v1", "1"), "not a Kubernetes object"),
    "no kind": (POD.replace("kind: Pod\n", ""), "not a Kubernetes object"),
    "no name": (POD.replace("name: a", "labels: {}"), "not a Kubernetes object"),
    "a name that the cluster makes up": (POD.replace("name: a", "generateName: a-"), "not a Kubernetes object"),
    "a name with a slash": (POD.replace("name: a", "name: a/b"), "not a Kubernetes object"),
    "a namespace that is a number": (POD.replace("name: a", "name: a, namespace: 1"), "not a Kubernetes object"),
    "values of a chart": ("replicas: 2\n", "not a Kubernetes object"),
    "an item that is no object": ("apiVersion: v1\nkind: List\nitems: [a]\n", "item 0 of a List is no object"),
    "one twice": (f"{POD}---\n{POD}", "x.yaml:6: Pod a stands twice"),
    "one twice under two versions": (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n---\n"
        "apiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: a}\n",
        "x.yaml:5: Deployment a stands twice",
    ),
    "one twice, once in a list": (
        f"{POD}---\napiVersion: v1\nkind: PodList\nitems:\n- " + POD.strip().replace("\n", "\n  "),
        "x.yaml:6: Pod a stands twice",
    ),
    "a namespace of others": (POD.replace("name: a", "name: a, namespace: kube-system"), "Pod a is in kube-system"),
    "the namespace of all": (NAMESPACE.replace("NAME", "default"), "Namespace default is in default"),
    "two namespaces": (f"{IN_SHOP}---\n{NAMESPACE.replace('NAME', 'web')}", "Namespace web is in web"),
    "a Secret in clear": (SECRET, "x.yaml:1: Secret s has its values in clear"),
    "a Secret in base64": (SECRET.replace("stringData", "data").replace("hunter2", "aGk="), "in clear"),
    "a hook": (POD.replace("name: a", "name: a, annotations: {helm.sh/hook: pre-install}"), "Pod a is a Helm hook"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_packaged_is_refused_with_file_and_line(case: str) -> None:
    text, message = REFUSED[case]
    with pytest.raises(PackageError) as caught:
        of(text)
    assert message in str(caught.value)
    assert caught.value.next_action
    assert "hunter2" not in f"{caught.value}{caught.value.evidence}{caught.value.next_action}"


def test_what_stands_beside_each_other() -> None:
    assert of(f"{IN_SHOP}---\n{POD}---\n{NAMESPACE.replace('NAME', 'shop')}") == ["Pod a", "Pod a", "Namespace shop"]
    assert of(f"{POD}---\n{POD.replace('v1', 'example.org/v1')}") == ["Pod a", "Pod a"], "another group, another kind"


def test_a_secret_that_everybody_may_read_has_to_be_named() -> None:
    assert of(SECRET, "s") == ["Secret s"]
    assert of(SECRET.replace("stringData: {password: hunter2}\n", "type: Opaque\n")) == ["Secret s"]
    with pytest.raises(PackageError, match="clear_secrets names no Secret of the manifests: t"):
        of(SECRET, "s", "t")


@pytest.mark.parametrize(("service", "port"), [("web", 81), ("wed", 80)])
def test_a_smoke_test_of_what_is_not_there(service: str, port: int) -> None:
    manifests = checked(read(SERVICE, "x.yaml"))
    check_smoke(manifests, "web", 443)
    with pytest.raises(PackageError, match=f"no Service {service} at port {port}") as caught:
        check_smoke(manifests, service, port)
    assert caught.value.evidence == "they have: web at 80, 443"
