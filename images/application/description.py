"""What application.toml says: the application's name, where its manifests are, and what its images are made of. Pure.

    name = "web"
    version = "1.0.0"
    manifests = ["manifests.yaml"]

    [images.web]
    tree = "www"
    at = "/www"
    packages = ["busybox-static"]
    command = ["/usr/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"]
    ports = [8080]

    [smoke]
    service = "web"
    port = 80
    contains = "hello"

docs/guide/packages.md explains every key.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from images.application.table import Table
from images.engine import Engine
from images.errors import PackageError
from images.oci.document import Settings

FILE = "application.toml"
REPOSITORIES = "apps"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,38}[a-z0-9]|[a-z]")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_VERSION = re.compile(r"v?\d{1,6}(\.\d{1,6}){1,3}(-[A-Za-z0-9.-]{1,60})?")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_USER = re.compile(r"\d{1,10}(:\d{1,10})?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FOLDER, _SIGNAL = re.compile(r"/[!-~]{0,1023}"), re.compile(r"SIG[A-Z][A-Z0-9+-]{1,12}")
_NOBODY = "65534:65534"
_PATH = "/usr/local/bin:/usr/sbin:/usr/bin"
_SOURCES = ("manifests", "kustomize", "helm", "compose")
_WAYS = ("tree", "containerfile", "layout")
_PORTS = range(1, 65536)
_STATUSES = range(100, 600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Files of ours upon Debian packages. `folder` below the source, or ""; `at` is where it stands in the image."""

    folder: str
    at: str
    packages: tuple[str, ...]
    settings: Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Containerfile:
    """`folder` is the context, `file` stands in it."""

    folder: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """An image of an OCI image layout; `name` may be empty where the layout has one image only."""

    layout: str
    name: str


Origin: TypeAlias = Tree | Containerfile | Ready


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedImage:
    """`replaces`: what manifests of others call it."""

    name: str
    origin: Origin
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoke:
    """`GET path` of a service has to answer with that status, and with that text in its body."""

    service: str
    port: int
    path: str
    status: int
    contains: str

    def to_json(self) -> bytes:
        fields = {"service": self.service, "port": self.port, "path": self.path, "status": self.status}
        said = {**fields, "contains": self.contains} if self.contains else fields
        return json.dumps(said, sort_keys=True, indent=1).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """Manifests that are rendered already; files below the source."""

    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kustomize:
    """A folder with kustomization.yaml."""

    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A Helm chart; `values` is a file, or "". `kubernetes`: the version that it is rendered for, or ""."""

    folder: str
    values: str
    kubernetes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compose:
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """Units for container hosts only."""


Manifests: TypeAlias = Plain | Kustomize | Chart | Compose | Nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """`quadlet`: files of units. `clear_secrets`: Secrets whose values everybody may read who has the package."""

    name: str
    version: str
    manifests: Manifests
    images: tuple[StatedImage, ...]
    smoke: Smoke | None = None
    quadlet: tuple[str, ...] = ()
    clear_secrets: tuple[str, ...] = ()
    packages: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        named = {package for image in self.images for package in packages_of(image.origin)}
        object.__setattr__(self, "packages", tuple(sorted(named)))

    def name_of(self, image: str) -> str:
        """In the set: an image that is called as its application needs no more than that."""
        repository = self.name if image == self.name else f"{self.name}/{image}"
        return f"{REPOSITORIES}/{repository}:{self.version}"

    @property
    def names(self) -> Mapping[str, str]:
        """What manifests may write -> the image's name in the set."""
        found = dict[str, str]()
        for image in self.images:
            meant = self.name_of(image.name)
            found |= {written: meant for written in (image.name, meant, *image.replaces)}
        return found


def packages_of(origin: Origin) -> tuple[str, ...]:
    match origin:
        case Tree(packages=packages):
            return packages
        case Containerfile() | Ready():
            return ()
        case _:
            assert_never(origin)


def read(raw: bytes) -> Description:
    """Raises `PackageError`, which names the key."""
    try:
        root = Table(tomllib.loads(raw.decode()), FILE)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PackageError(
            f"{FILE} is not TOML", evidence=str(error)[:200], next_action="correct the line that it names"
        ) from error
    found = _description(root)
    root.finish()
    return found


def _description(root: Table) -> Description:
    described = Description(
        name=_matched(root, "name", _NAME, "small letters, digits and hyphens, at most 40"),
        version=_matched(root, "version", _VERSION, "numbers with dots, and - with what follows: 1.2.0, 1.2.0-rc.1"),
        manifests=_manifests(root),
        quadlet=tuple(_inside(root, "quadlet", file) for file in root.texts("quadlet")),
        images=tuple(_images(root)),
        smoke=_smoke(root.table("smoke")) if "smoke" in root else None,
        clear_secrets=root.texts("clear_secrets"),
    )
    if described.name in list(Engine):
        raise root.error("name", "an engine has that name", described.name, "choose another one")
    _refuse_double(root, described)
    return described


def _refuse_double(root: Table, described: Description) -> None:
    seen = set[str]()
    for image in described.images:
        for written in (image.name, *image.replaces):
            if written in seen:
                raise root.error("images", "two images have one name", written, "keep one of them")
            seen.add(written)


def _manifests(root: Table) -> Manifests:
    if "quadlet" in root and not any(source in root for source in _SOURCES):
        return Nothing()
    match root.one_of(_SOURCES):
        case "kustomize":
            return Kustomize(folder=_inside(root, "kustomize", root.text("kustomize")))
        case "compose":
            return Compose(file=_inside(root, "compose", root.text("compose")))
        case "helm":
            table = root.table("helm")
            chart = Chart(
                folder=_inside(table, "chart", table.text("chart")),
                values=_inside(table, "values", table.text("values")) if "values" in table else "",
                kubernetes=_matched(table, "kubernetes", _VERSION, "as 1.33.0") if "kubernetes" in table else "",
            )
            table.finish()
            return chart
        case _:
            return _plain(root)


def _plain(root: Table) -> Plain:
    files = root.one_or_more("manifests")
    if not files:
        raise root.error("manifests", "empty", "", 'name a file: manifests = "manifests.yaml"')
    return Plain(files=tuple(_inside(root, "manifests", file) for file in files))


def _images(root: Table) -> Iterator[StatedImage]:
    for name, table in root.named("images").items():
        if not _NAME.fullmatch(name):
            raise root.error("images", "not a name", name, "use small letters, digits and hyphens")
        packages_alone = "packages" in table and not any(way in table for way in _WAYS)
        way = _WAYS[0] if packages_alone else table.one_of(_WAYS)
        yield StatedImage(name=name, origin=_origin(way, table), replaces=table.texts("replaces"))
        table.finish()


def _origin(way: str, table: Table) -> Origin:
    if way == "containerfile":
        folder, _, file = _inside(table, way, table.text(way)).rpartition("/")
        return Containerfile(folder=folder or ".", file=file)
    if way == "layout":
        return Ready(layout=_inside(table, way, table.text(way)), name=table.text("image", ""))
    return _tree(table)


def _tree(table: Table) -> Tree:
    packages = table.texts("packages")
    if odd := [package for package in packages if not _PACKAGE.fullmatch(package)]:
        raise table.error("packages", "not a Debian package", odd[0], "give names alone, without versions")
    folder = _inside(table, "tree", table.text("tree")) if "tree" in table else ""
    at = table.text("at") if folder else ""
    if folder and not _absolute(at):
        raise table.error("at", "not an absolute path", at, 'say where the tree stands in the image: at = "/srv"')
    return Tree(folder=folder, at=at.strip("/"), packages=tuple(sorted(set(packages))), settings=_settings(table))


def _settings(table: Table) -> Settings:
    command, ports = table.texts("command"), table.numbers("ports")
    if not command or not command[0].startswith("/"):
        raise table.error("command", "no program", repr(command), 'give its path and arguments: command = ["/bin/x"]')
    if wrong := [port for port in ports if port not in _PORTS]:
        raise table.error("ports", "not a port", str(wrong[0]), "use 1 to 65535")
    user = table.text("user", _NOBODY)
    if not _USER.fullmatch(user):
        raise table.error("user", "not a numeric user", user, 'write UID or UID:GID, as "65534:65534"')
    environment = table.words("environment")
    if odd := [name for name in environment if not _VARIABLE.fullmatch(name)]:
        raise table.error("environment", "not the name of a variable", odd[0], "use letters, digits and _")
    return Settings(
        entrypoint=command,
        environment={"PATH": _PATH, **environment},
        folder=_matched(table, "folder", _FOLDER, "an absolute path") if "folder" in table else "",
        user=user,
        ports=tuple(f"{port}/tcp" for port in sorted(set(ports))),
        stop_signal=_matched(table, "stop_signal", _SIGNAL, "as SIGTERM") if "stop_signal" in table else "",
    )


def _smoke(table: Table) -> Smoke:
    smoke = Smoke(
        service=_matched(table, "service", _LABEL, "the name of a Service of the manifests"),
        port=table.number("port"),
        path=table.text("path", "/"),
        status=table.number("status", 200),
        contains=table.text("contains", ""),
    )
    table.finish()
    if smoke.port not in _PORTS or smoke.status not in _STATUSES:
        raise table.error("port", "not a port and a status", f"{smoke.port}, {smoke.status}", "correct them")
    if not re.fullmatch(r"/[!-~]{0,1023}", smoke.path):
        raise table.error("path", "not a path", smoke.path, "begin it with a slash")
    return smoke


def _matched(table: Table, key: str, pattern: re.Pattern[str], wanted: str) -> str:
    text = table.text(key)
    if not pattern.fullmatch(text):
        raise table.error(key, "not of that form", text, wanted)
    return text


def _absolute(path: str) -> bool:
    return path.startswith("/") and "\0" not in path and not {".", ".."} & set(path.split("/"))


def _inside(table: Table, key: str, path: str) -> str:
    """Below the source: what leads elsewhere would make another package on another machine."""
    parts = path.rstrip("/").split("/")
    if not path or "\0" in path or {"", ".."} & set(parts):
        raise table.error(key, "a path leads out of the source", path, "name a file or folder below it")
    return "/".join(part for part in parts if part != ".") or "."
