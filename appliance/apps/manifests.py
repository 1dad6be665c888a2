"""Kubernetes objects as a package states them, and as one cluster is told them. Pure.

What a package's YAML means is what it meant when it was packaged: one reader does both.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeGuard

from appliance.errors import UsageError
from appliance.model.application import AppName
from appliance.model.text import clean
from images.application.documents import Value
from images.application.documents import read as documents_of
from images.application.manifests import images_in, with_images
from images.artifact_set import ArtifactSet
from images.errors import PackageError

Object: TypeAlias = Mapping[str, object]
Written: TypeAlias = Mapping[str, Value]
MANAGER = "innervate"
"""Whose fields they are, in the cluster's own account of who has set what."""
APPLICATION = "innervate/application"
"""The label by which all of an application is found."""
_MANAGED = "app.kubernetes.io/managed-by"
# What others need comes before them; everything that is not named comes last but for what watches it.
_ORDER = (
    *("Namespace", "CustomResourceDefinition", "PriorityClass", "StorageClass", "PersistentVolume", "ServiceAccount"),
    *("ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding", "ConfigMap", "Secret", "PersistentVolumeClaim"),
    "Service",
)
_LAST = ("PodDisruptionBudget", "HorizontalPodAutoscaler", "Ingress")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Ref:
    """An object's place. `namespace` is "" for what belongs to the whole cluster."""

    api: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """`images` are those that it runs, as a cluster pulls them."""

    ref: Ref
    body: Object
    images: tuple[str, ...] = ()


def read(raw: bytes) -> tuple[Written, ...]:
    """Raises `UsageError`."""
    try:
        found = documents_of(raw.decode(), "manifests.yaml")
    except UnicodeDecodeError as error:
        raise _malformed(str(error)) from error
    except PackageError as error:
        raise _malformed(f"{error}: {error.evidence}") from error
    if not found:
        raise _malformed("there are none")
    return tuple(one.value for one in found)


def documents(
    objects: Sequence[Written], name: AppName, namespace: str, package: ArtifactSet, registry: str
) -> tuple[Document, ...]:
    """As the cluster is told them, in the order in which it is: labelled, with images by digest from `registry`
    (HOST:PORT). Raises `UsageError` for an image that the package does not hold."""
    images = {image.name: f"{registry}/{image.repository}@{image.digest}" for image in package.images}
    made = [_document(one, name, namespace, images) for one in objects]
    refs = [one.ref for one in made]
    if twice := sorted({ref for ref in refs if refs.count(ref) > 1}):
        raise _malformed(f"{twice[0]} stands there twice")
    return tuple(sorted(made, key=lambda one: (_rank(one.ref.kind), one.ref)))


def defines_namespaced(ref: Ref, among: Iterable[Document]) -> bool:
    """Whether objects of that kind belong to namespaces, by the definition that comes with them. Raises `UsageError`
    where none does."""
    group = ref.api.partition("/")[0]
    for one in among:
        spec = one.body.get("spec") if one.ref.kind == "CustomResourceDefinition" else None
        if (at(spec, "group"), at(spec, "names", "kind")) == (group, ref.kind):
            return at(spec, "scope") != "Cluster"
    raise UsageError(
        f"neither the cluster nor the package knows what a {clean(ref.kind, 80)} of {clean(ref.api, 80)} is",
        next_action="put its CustomResourceDefinition into the package, or package for this version of Kubernetes",
    )


def namespace_of(name: AppName, namespace: str) -> Document:
    """Of an application whose documents bring none."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": _labels(name)}}
    return Document(ref=Ref(api="v1", kind="Namespace", namespace="", name=namespace), body=body)


def owner(live: object) -> object:
    """Which application an object in a cluster belongs to, by its label."""
    return at(live, "metadata", "labels", APPLICATION)


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def at(value: object, *path: str) -> object:
    """None where it leads nowhere."""
    for name in path:
        value = value.get(name) if is_object(value) else None
    return value


def listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _document(one: Written, name: AppName, namespace: str, images: Mapping[str, str]) -> Document:
    match one:
        case {"apiVersion": str(api), "kind": str(kind), "metadata": {"name": str(own), **metadata}}:
            stated = metadata.get("namespace", namespace)
            body = _ported(_pulled(one, images), kind)
            told = {**body, "metadata": {**metadata, "name": own, "labels": _labelled(metadata.get("labels"), name)}}
            ref = Ref(api=api, kind=kind, namespace=str(stated), name=own)
            return Document(ref=ref, body=told, images=images_in(body))
        case _:
            raise _malformed(f"a document without apiVersion, kind or name: {str(one)[:100]}")


def _pulled(one: Written, images: Mapping[str, str]) -> Written:
    def meant(written: str) -> str:
        if written not in images:
            raise UsageError(
                f"the package holds no image {written[:200]!r}",
                evidence=f"it holds {', '.join(images) or 'none'}"[:300],
                next_action="package the application again, with every image that its documents name",
            )
        return images[written]

    try:
        return with_images(one, meant)
    except PackageError as error:
        raise _malformed(f"{error}: {error.evidence}") from error


def _ported(one: Written, kind: str) -> dict[str, Value]:
    """Ports with the protocol that they have anyway: before 1.23 a server that applies wants to be told."""
    return {key: _said(value, key, kind) for key, value in one.items()}


def _said(value: Value, key: str, kind: str) -> Value:
    if isinstance(value, dict):
        is_port = "containerPort" in value or (kind == "Service" and key == "ports")
        return {**({"protocol": "TCP"} if is_port else {}), **_ported(value, kind)}
    return [_said(one, key, kind) for one in value] if isinstance(value, list) else value


def _labelled(own: object, name: AppName) -> Object:
    return {**(own if is_object(own) else {}), **_labels(name)}


def _labels(name: AppName) -> Mapping[str, str]:
    return {APPLICATION: name, _MANAGED: MANAGER}


def _rank(kind: str) -> int:
    if kind in _ORDER:
        return _ORDER.index(kind)
    return len(_ORDER) + (kind in _LAST)


def _malformed(evidence: str) -> UsageError:
    return UsageError(
        "the documents of the package are malformed",
        evidence=evidence[:200],
        next_action="package the application again: innervate package build",
    )
