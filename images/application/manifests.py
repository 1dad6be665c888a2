"""What of manifests can be packaged, and the images in them. Pure; every refusal names file, line and object.

Kubernetes API conventions, "Types (Kinds)" and "Metadata":
https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from images.application.documents import Document, Value, refused
from images.errors import PackageError

_API = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?v[0-9]+((alpha|beta)[0-9]+)?")
_KIND = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:_-]{0,251}[A-Za-z0-9])?")
_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_WORKLOADS = frozenset({"", "apps", "batch"})
_SHARED = frozenset({"default", "kube-node-lease", "kube-public", "kube-system"})
_HOOK = "helm.sh/hook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """An object: what it is called, and all of it."""

    group: str
    kind: str
    namespace: str
    name: str
    value: Mapping[str, Value]
    where: str

    @property
    def title(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Of two objects with one key a cluster has one. An API's version is no part of it."""
        return self.group, self.kind, self.namespace, self.name


def checked(documents: Iterable[Document], clear_secrets: Iterable[str] = ()) -> tuple[Manifest, ...]:
    """In their order, lists expanded. Raises `PackageError`."""
    found = tuple(_manifest(each) for document in documents for each in _expanded(document))
    _refuse_doubles(found)
    _refuse_namespaces(found)
    allowed = frozenset(clear_secrets)
    for manifest in found:
        _refuse_hooks(manifest)
        _refuse_clear(manifest, allowed)
    if unused := allowed - {manifest.name for manifest in found if manifest.kind == "Secret"}:
        raise PackageError(
            f"clear_secrets names no Secret of the manifests: {min(unused)[:100]}", next_action="correct or remove it"
        )
    return found


def named(manifest: Manifest, names: Mapping[str, str]) -> Mapping[str, Value]:
    """With the images' names in the set; `names` is what may be written -> that name. Raises `PackageError`."""

    def meant(written: str) -> str:
        if (name := names.get(written)) is None:
            raise _unknown_image(manifest, written, names)
        return name

    return with_images(manifest.value, meant, manifest)


def images_in(value: Mapping[str, Value]) -> tuple[str, ...]:
    """Every container's image, as it is written, each once."""
    found = dict[str, None]()
    with_images(value, lambda written: found.setdefault(written) or written)
    return tuple(found)


def with_images(
    value: Mapping[str, Value], meant: Callable[[str], str], of: Manifest | None = None
) -> Mapping[str, Value]:
    """The same with every image of a container, or of a volume, as `meant` calls it: in pods, in what makes pods, and
    in others' objects that hold containers in the same form. Raises `PackageError` where a container `of` a manifest of
    Kubernetes' own has none."""
    return {key: _replaced(key, inner, meant, of) for key, inner in value.items()}


def check_smoke(manifests: Iterable[Manifest], service: str, port: int) -> None:
    """Raises `PackageError` where no such service listens there."""
    seen = []
    for manifest in manifests:
        if manifest.kind == "Service" and manifest.group == "":
            ports = tuple(_ports(manifest.value))
            if manifest.name == service and port in ports:
                return
            seen.append(f"{manifest.name} at {', '.join(map(str, ports)) or 'no port'}")
    raise PackageError(
        f"smoke: the manifests have no Service {service} at port {port}",
        evidence=f"they have: {'; '.join(seen) or 'none'}"[:200],
        next_action="correct [smoke], or add the Service",
    )


def _expanded(document: Document) -> Iterator[Document]:
    match document.value:
        case {"kind": str(kind), "items": list(items)} if kind.endswith("List"):
            for number, item in enumerate(items):
                if not isinstance(item, dict):
                    raise refused(document.where, f"item {number} of a {kind} is no object", repr(item), "correct it")
                yield from _expanded(Document(value=item, where=document.where))
        case _:
            yield document


def _manifest(document: Document) -> Manifest:
    match document.value:
        case {"apiVersion": str(api), "kind": str(kind), "metadata": {"name": str(name), **others}}:
            namespace = others.get("namespace", "")
            whole = _API.fullmatch(api) and _KIND.fullmatch(kind) and _NAME.fullmatch(name)
            if whole and isinstance(namespace, str):
                group = api.rpartition("/")[0]
                value, where = document.value, document.where
                return Manifest(group=group, kind=kind, namespace=namespace, name=name, value=value, where=where)
        case _:
            pass
    raise refused(
        document.where,
        "not a Kubernetes object",
        f"it has: {', '.join(document.value)}",
        "write apiVersion, kind and metadata.name; a name that the cluster makes up cannot be found again",
    )


def _refuse_doubles(manifests: Iterable[Manifest]) -> None:
    seen = dict[tuple[str, str, str, str], Manifest]()
    for manifest in manifests:
        if (other := seen.setdefault(manifest.key, manifest)) is not manifest:
            raise refused(
                manifest.where, f"{manifest.title} stands twice", f"also at {other.where}", "keep one of them"
            )


def _refuse_namespaces(manifests: Iterable[Manifest]) -> None:
    """All that an application has can be found, and removed, in one place."""
    own = ""
    for manifest in manifests:
        made = manifest.kind == "Namespace" and manifest.group == ""
        if not (said := manifest.name if made else manifest.namespace):
            continue
        if said in _SHARED:
            raise refused(manifest.where, f"{manifest.title} is in {said}", "others live there", "use one of its own")
        if own and said != own:
            raise refused(manifest.where, f"{manifest.title} is in {said}", f"others are in {own}", "use one namespace")
        own = said


def _refuse_hooks(manifest: Manifest) -> None:
    match manifest.value:
        case {"metadata": {"annotations": dict(annotations)}} if _HOOK in annotations:
            hook = str(annotations[_HOOK])
            raise refused(
                manifest.where, f"{manifest.title} is a Helm hook", hook, "nothing runs hooks: write it as a Job"
            )
        case _:
            pass


def _refuse_clear(manifest: Manifest, allowed: frozenset[str]) -> None:
    """The values themselves never get into a message."""
    if manifest.kind != "Secret" or manifest.group or manifest.name in allowed:
        return
    fields = [field for field in ("data", "stringData") if manifest.value.get(field)]
    if fields:
        raise refused(
            manifest.where,
            f"{manifest.title} has its values in clear",
            f"in {' and '.join(fields)}",
            f'make it on the cluster; or say clear_secrets = ["{manifest.name}"] if everybody may read them',
        )


def _replaced(key: str, value: Value, meant: Callable[[str], str], of: Manifest | None) -> Value:
    if isinstance(value, dict):
        return {name: _replaced(name, inner, meant, of) for name, inner in value.items()}
    if not isinstance(value, list):
        return value
    items = [_replaced("", one, meant, of) for one in value]
    if key in _CONTAINERS:
        return [_container(one, meant, of) for one in items]
    return [_volume(one, meant) for one in items] if key == "volumes" else items


def _container(value: Value, meant: Callable[[str], str], of: Manifest | None) -> Value:
    if not isinstance(value, dict):
        return value
    if isinstance(image := value.get("image"), str):
        return {**value, "image": meant(image)}
    if of is None or of.group not in _WORKLOADS:  # operators add to containers that they make themselves
        return value
    name = str(value.get("name", ""))
    raise refused(of.where, f"{of.title} has a container without an image", name, "say which image it runs")


def _volume(value: Value, meant: Callable[[str], str]) -> Value:
    source = value.get("image") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(source, dict):
        return value
    if not isinstance(image := source.get("reference"), str):
        return value
    return {**value, "image": {**source, "reference": meant(image)}}


def _unknown_image(manifest: Manifest, written: str, names: Mapping[str, str]) -> PackageError:
    return refused(
        manifest.where,
        f"{manifest.title} runs {written[:150]!r}, which the package does not hold",
        f"it holds: {', '.join(sorted(set(names.values()))) or 'no image'}",
        f'add it: [images.NAME] with replaces = ["{written[:100]}"]',
    )


def _ports(value: Mapping[str, Value]) -> Iterator[int]:
    match value:
        case {"spec": {"ports": list(rows)}}:
            for row in rows:
                match row:
                    case {"port": int(port)}:
                        yield port
                    case _:
                        continue
        case _:
            return
