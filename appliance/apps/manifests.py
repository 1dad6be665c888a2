"""Kubernetes objects as a package states them, and as one cluster is told them. Pure.

A package's documents are JSON, one after the other behind lines of `---`, which is YAML too: whoever packaged has read
all other YAML.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeGuard

from appliance.errors import UsageError
from appliance.model.application import AppName
from images.artifact_set import ArtifactSet

Object: TypeAlias = Mapping[str, object]
MANAGER = "innervate"
"""Whose fields they are, in the cluster's own account of who has set what."""
APPLICATION = "innervate/application"
"""The label by which all of an application is found."""
_MANAGED = "app.kubernetes.io/managed-by"
_LIMIT, _DOCUMENTS = 4 << 20, 2000
# What others need comes before them; everything that is not named comes last but for what watches it.
_ORDER = (
    *("Namespace", "CustomResourceDefinition", "PriorityClass", "StorageClass", "PersistentVolume", "ServiceAccount"),
    *("ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding", "ConfigMap", "Secret", "PersistentVolumeClaim"),
    "Service",
)
_LAST = ("PodDisruptionBudget", "HorizontalPodAutoscaler", "Ingress")
_TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "Pod": ("spec",),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    **dict.fromkeys(("DaemonSet", "Deployment", "Job", "ReplicaSet", "StatefulSet"), ("spec", "template", "spec")),
}
"""Where a kind states its pods."""


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
    ref: Ref
    body: Object


def read(raw: bytes) -> tuple[Object, ...]:
    """Raises `UsageError`."""
    if len(raw) > _LIMIT:
        raise _malformed(f"{len(raw)} bytes")
    try:
        found = [json.loads(text) for text in f"\n{raw.decode()}".split("\n---\n") if text.strip()]
    except (ValueError, RecursionError) as error:
        raise _malformed(str(error)) from error
    objects = tuple(one for one in found if is_object(one))
    if len(objects) != len(found) or not 1 <= len(found) <= _DOCUMENTS:
        raise _malformed(f"{len(found)} documents, of which {len(objects)} are objects")
    return objects


def documents(
    objects: Sequence[Object], name: AppName, namespace: str, package: ArtifactSet, registry: str
) -> tuple[Document, ...]:
    """As the cluster is told them, in the order in which it is: labelled, with images by digest from `registry`
    (HOST:PORT). Raises `UsageError` for an image that the package does not hold."""
    images = {image.name: f"{registry}/{image.repository}@{image.digest}" for image in package.images}
    made = [_document(one, name, namespace, images) for one in objects]
    refs = [one.ref for one in made]
    if twice := sorted({ref for ref in refs if refs.count(ref) > 1}):
        raise _malformed(f"{twice[0]} stands there twice")
    return tuple(sorted(made, key=lambda one: (_rank(one.ref.kind), one.ref)))


def namespace_of(name: AppName, namespace: str) -> Document:
    """Of an application whose documents bring none."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": _labels(name)}}
    return Document(ref=Ref(api="v1", kind="Namespace", namespace="", name=namespace), body=body)


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def at(value: object, *path: str) -> object:
    """None where it leads nowhere."""
    for name in path:
        value = value.get(name) if is_object(value) else None
    return value


def listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _document(one: Object, name: AppName, namespace: str, images: Mapping[str, str]) -> Document:
    match one:
        case {"apiVersion": str(api), "kind": str(kind), "metadata": metadata} if is_object(metadata):
            match metadata:
                case {"name": str(own), **more}:
                    labels, stated = more.get("labels"), more.get("namespace", namespace)
                case _:
                    raise _malformed(f"a {kind[:80]} without a name")
            told = {**metadata, "labels": {**(labels if is_object(labels) else {}), **_labels(name)}}
            body = _with_protocols(_with_images({**one, "metadata": told}, kind, images), kind)
            return Document(ref=Ref(api=api, kind=kind, namespace=str(stated), name=own), body=body)
        case _:
            raise _malformed(f"a document without apiVersion, kind or name: {str(one)[:100]}")


def _with_images(body: Object, kind: str, images: Mapping[str, str]) -> Object:
    path = _TEMPLATES.get(kind)
    return body if path is None else _changed(body, path, lambda pods: _pulled(pods, images))


def _pulled(pods: Object, images: Mapping[str, str]) -> Object:
    lists = {name: [_container(one, images) for one in listed(pods[name])] for name in _CONTAINERS if name in pods}
    return {**pods, **lists}


_CONTAINERS = ("containers", "initContainers")


def _container(one: object, images: Mapping[str, str]) -> object:
    named = str(at(one, "image"))
    if not is_object(one) or named not in images:
        raise UsageError(
            f"the package holds no image {named[:200]!r}",
            evidence=f"it holds {', '.join(images) or 'none'}"[:300],
            next_action="package the application again, with every image that its documents name",
        )
    return _ported({**one, "image": images[named]})


def _with_protocols(body: Object, kind: str) -> Object:
    return _changed(body, ("spec",), _ported) if kind == "Service" else body


def _ported(one: Object) -> Object:
    """Its ports with the protocol that they have anyway: before 1.23 what is applied from the server's side has to say
    it."""
    ports = [{"protocol": "TCP", **port} if is_object(port) else port for port in listed(one.get("ports"))]
    return {**one, "ports": ports} if ports else one


def _changed(value: Object, path: tuple[str, ...], change: Callable[[Object], Object]) -> Object:
    if not path:
        return change(value)
    deeper = value.get(path[0])
    return {**value, path[0]: _changed(deeper, path[1:], change)} if is_object(deeper) else value


def _labels(name: AppName) -> Mapping[str, str]:
    return {APPLICATION: name, _MANAGED: MANAGER}


def _rank(kind: str) -> int:
    if kind in _ORDER:
        return _ORDER.index(kind)
    return len(_ORDER) + (kind in _LAST)


def images_of(found: Sequence[Document]) -> Iterator[str]:
    """That their pods run, as a cluster pulls them."""
    for one in found:
        pods = at(one.body, *_TEMPLATES.get(one.ref.kind, ("nowhere",)))
        for name in _CONTAINERS:
            yield from (image for each in listed(at(pods, name)) if isinstance(image := at(each, "image"), str))


def _malformed(evidence: str) -> UsageError:
    return UsageError(
        "the documents of the package are malformed",
        evidence=evidence[:200],
        next_action="package the application again: innervate package build",
    )
