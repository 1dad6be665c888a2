"""Ignition configs as values: what a site program says, and what it was given as a file.

Names and shape are those of the specification (coreos/ignition, "Configuration Specification v3.3.0"): one model writes
and reads them. What would touch a disk beside the files on it (`disks`, `raid`, `luks`, `filesystems`) is not in it: a
plan names the one disk that is written. Contents, hashes of passwords and URLs may be secrets: no value prints them.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from appliance.errors import SiteError

VERSION = "3.3.0"
VERSIONS = ("3.0.0", "3.1.0", "3.2.0", "3.3.0")
"""What the engine reads: Ignition 2.14."""

_SPEC = ConfigDict(
    extra="forbid", strict=True, alias_generator=to_camel, validate_by_name=True, hide_input_in_errors=True
)
_HASH = re.compile(r"sha512-[0-9a-f]{128}|sha256-[0-9a-f]{64}")
_UNIT = re.compile(
    r"[A-Za-z0-9:_.@\\-]{1,240}\.(?:service|socket|device|mount|automount|swap|target|path|timer|slice|scope)"
)
_SCHEMES = ("data", "http", "https", "tftp")
_DISKS = ("disks", "raid", "luks", "filesystems")
_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """`hash` is `sha512-` or `sha256-` and hex digits."""

    __pydantic_config__: ClassVar[ConfigDict] = _SPEC
    hash: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpHeader:
    __pydantic_config__: ClassVar[ConfigDict] = _SPEC
    name: str
    value: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """`source` is a URL: data, http, https or tftp. `compression` is gzip or nothing."""

    __pydantic_config__: ClassVar[ConfigDict] = _SPEC
    source: str | None = field(default=None, repr=False)
    compression: str | None = None
    http_headers: tuple[HttpHeader, ...] = ()
    verification: Verification = field(default_factory=Verification)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    __pydantic_config__: ClassVar[ConfigDict] = _SPEC
    id: int | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """`mode` as a number: 0o644 is 420 in JSON."""

    __pydantic_config__: ClassVar[ConfigDict] = _SPEC
    path: str
    contents: Resource = field(default_factory=Resource)
    append: tuple[Resource, ...] = ()
    mode: int | None = None
    overwrite: bool | None = None
    user: Owner = field(default_factory=Owner)
    group: Owner = field(default_factory=Owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    __pydantic_config__: ClassVar[ConfigDict] = _SPEC
    path: str
    mode: int | None = None
    overwrite: bool | None = None
    user: Owner = field(default_factory=Owner)
    group: Owner = field(default_factory=Owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    __pydantic_config__: ClassVar[ConfigDict] = _SPEC
    path: str
    target: str | None = None
    hard: bool | None = None
    overwrite: bool | None = None
    user: Owner = field(default_factory=Owner)
    group: Owner = field(default_factory=Owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    __pydantic_config__: ClassVar[ConfigDict] = _SPEC
    directories: tuple[Directory, ...] = ()
    files: tuple[File, ...] = ()
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropin:
    __pydantic_config__: ClassVar[ConfigDict] = _SPEC
    name: str
    contents: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """`enabled` None: as the image has it."""

    __pydantic_config__: ClassVar[ConfigDict] = _SPEC
    name: str
    enabled: bool | None = None
    mask: bool | None = None
    contents: str | None = field(default=None, repr=False)
    dropins: tuple[Dropin, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Systemd:
    __pydantic_config__: ClassVar[ConfigDict] = _SPEC
    units: tuple[Unit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """`password_hash` as crypt(5) has it."""

    __pydantic_config__: ClassVar[ConfigDict] = _SPEC
    name: str
    ssh_authorized_keys: tuple[str, ...] = ()
    password_hash: str | None = field(default=None, repr=False)
    uid: int | None = None
    gecos: str | None = None
    home_dir: str | None = None
    no_create_home: bool | None = None
    primary_group: str | None = None
    groups: tuple[str, ...] = ()
    no_user_group: bool | None = None
    no_log_init: bool | None = None
    shell: str | None = None
    should_exist: bool | None = None
    system: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    __pydantic_config__: ClassVar[ConfigDict] = _SPEC
    name: str
    gid: int | None = None
    password_hash: str | None = field(default=None, repr=False)
    should_exist: bool | None = None
    system: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Passwd:
    __pydantic_config__: ClassVar[ConfigDict] = _SPEC
    users: tuple[User, ...] = ()
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Configs that the engine fetches and lays over this one, in turn."""

    __pydantic_config__: ClassVar[ConfigDict] = _SPEC
    merge: tuple[Resource, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Certificates that are trusted beside the system's own."""

    __pydantic_config__: ClassVar[ConfigDict] = _SPEC
    certificate_authorities: tuple[Resource, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    __pydantic_config__: ClassVar[ConfigDict] = _SPEC
    tls: Tls = field(default_factory=Tls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """In seconds; 0 is for ever."""

    __pydantic_config__: ClassVar[ConfigDict] = _SPEC
    http_response_headers: int | None = None
    http_total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    __pydantic_config__: ClassVar[ConfigDict] = _SPEC
    http_proxy: str | None = None
    https_proxy: str | None = None
    no_proxy: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    __pydantic_config__: ClassVar[ConfigDict] = _SPEC
    version: str = VERSION
    config: Merged = field(default_factory=Merged)
    security: Security = field(default_factory=Security)
    timeouts: Timeouts = field(default_factory=Timeouts)
    proxy: Proxy = field(default_factory=Proxy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One config. Raises `SiteError` that names each path at which something is wrong."""

    __pydantic_config__: ClassVar[ConfigDict] = _SPEC
    ignition: Header = field(default_factory=Header)
    passwd: Passwd = field(default_factory=Passwd)
    storage: Storage = field(default_factory=Storage)
    systemd: Systemd = field(default_factory=Systemd)

    def __post_init__(self) -> None:
        if wrong := tuple(_wrong(self)):
            raise _refusal("the config", wrong)

    @property
    def text(self) -> str:
        """As the engine reads it. May hold secrets."""
        said = json.loads(_ADAPTER.dump_json(self, by_alias=True, exclude_defaults=True))
        said["ignition"] = {"version": self.ignition.version, **said.get("ignition", {})}
        return json.dumps(said, sort_keys=True)

    @property
    def sha256(self) -> str:
        """By which a plan names it."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def summary(self) -> str:
        """What it says, without what may be secret."""
        counted = (
            ("file", [file.path for file in self.storage.files]),
            ("link", [link.path for link in self.storage.links]),
            ("unit", [unit.name for unit in self.systemd.units]),
            ("user", [user.name for user in self.passwd.users]),
        )
        merged = len(self.ignition.config.merge)
        parts = [f"{kind}s {', '.join(names[:_SHOWN])}" for kind, names in counted if names]
        return "; ".join([*parts, *([f"{merged} configs by reference"] if merged else [])]) or "nothing"


_ADAPTER = TypeAdapter(Config)


def inline(data: bytes | str) -> Resource:
    """Contents that stand in the config itself, as a data URL (RFC 2397), with their SHA-512."""
    raw = data.encode() if isinstance(data, str) else data
    return Resource(
        source=f"data:;base64,{base64.b64encode(raw).decode()}", verification=Verification(hash=sha512(raw))
    )


def sha512(data: bytes) -> str:
    """As Ignition writes it."""
    return f"sha512-{hashlib.sha512(data).hexdigest()}"


def parse(text: str, name: str) -> Config:
    """A config that was written elsewhere; `name` is shown. Raises `SiteError` with line or path."""
    try:
        said = json.loads(text)
    except ValueError as error:
        where = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise SiteError(f"{name} is no JSON", evidence=f"{where}: {error}", next_action=_YAML) from error
    if not isinstance(said, dict):
        raise SiteError(f"{name} is no Ignition config", evidence="no object", next_action=_YAML)
    _refuse_version(said.get("ignition"), name)
    _refuse_disks(said, name)
    try:
        return _ADAPTER.validate_json(text)
    except SiteError as error:
        raise SiteError(f"{name}: {error}", evidence=error.evidence, next_action=error.next_action) from error
    except ValidationError as error:
        wrong = (f"{_path(one['loc'])}: {one['msg']}" for one in error.errors(include_url=False, include_input=False))
        raise _refusal(name, tuple(wrong)) from None  # its text would show what may be secret


def _refuse_version(header: object, name: str) -> None:
    version = header.get("version") if isinstance(header, dict) else None
    if version in VERSIONS:
        return
    raise SiteError(
        f"{name} is of a specification that this engine does not read",
        evidence=f"ignition.version is {json.dumps(version)[:40]}; Ignition 2.14 reads {', '.join(VERSIONS)}",
        next_action=f"write it for {VERSION}: butane with an older variant version, or ignition-converter for 2.x",
    )


def _refuse_disks(said: dict[str, object], name: str) -> None:
    storage = said.get("storage")
    found = [f"storage.{key}" for key in _DISKS if isinstance(storage, dict) and storage.get(key)]
    if said.get("kernelArguments"):
        found.append("kernelArguments")
    if found:
        raise SiteError(
            f"{name} changes more than files: {', '.join(found)}",
            evidence="a plan names one disk, and what is destroyed there; Ignition would change others unseen",
            next_action="leave these out; the score chooses the disk, and the image has its partitions",
        )


def _wrong(config: Config) -> Iterator[str]:
    if config.ignition.version not in VERSIONS:
        yield f"ignition.version: {config.ignition.version[:20]!r} is none of {', '.join(VERSIONS)}"
    yield from _wrong_nodes(config.storage)
    yield from _wrong_units(config.systemd.units)
    yield from _doubled("passwd.users", [user.name for user in config.passwd.users])
    yield from _doubled("passwd.groups", [group.name for group in config.passwd.groups])
    for path, resource in _resources(config):
        yield from _wrong_resource(path, resource)


def _wrong_nodes(storage: Storage) -> Iterator[str]:
    nodes: tuple[tuple[str, Sequence[File | Directory | Link]], ...] = (
        ("files", storage.files),
        ("directories", storage.directories),
        ("links", storage.links),
    )
    for kind, listed in nodes:
        for number, node in enumerate(listed):
            if not node.path.startswith("/"):
                yield f"storage.{kind}.{number}.path: {node.path[:80]!r} is not absolute"
            if not isinstance(node, Link) and node.mode is not None and not 0 <= node.mode <= 0o7777:
                yield f"storage.{kind}.{number}.mode: {node.mode} is not between 0 and 4095 (07777)"
            if isinstance(node, Link) and not node.target:
                yield f"storage.links.{number}.target: a link needs one"
    yield from _doubled("storage", [node.path for _, listed in nodes for node in listed])


def _wrong_units(units: Sequence[Unit]) -> Iterator[str]:
    for number, unit in enumerate(units):
        if not _UNIT.fullmatch(unit.name):
            yield f"systemd.units.{number}.name: {unit.name[:80]!r} is not the name of a unit"
        for at, dropin in enumerate(unit.dropins):
            if not dropin.name.endswith(".conf") or "/" in dropin.name:
                yield f"systemd.units.{number}.dropins.{at}.name: {dropin.name[:80]!r} does not end in .conf"
    yield from _doubled("systemd.units", [unit.name for unit in units])


def _resources(config: Config) -> Iterator[tuple[str, Resource]]:
    for number, file in enumerate(config.storage.files):
        yield f"storage.files.{number}.contents", file.contents
        for at, more in enumerate(file.append):
            yield f"storage.files.{number}.append.{at}", more
    for number, merged in enumerate(config.ignition.config.merge):
        yield f"ignition.config.merge.{number}", merged
    for number, trusted in enumerate(config.ignition.security.tls.certificate_authorities):
        yield f"ignition.security.tls.certificateAuthorities.{number}", trusted


def _wrong_resource(path: str, resource: Resource) -> Iterator[str]:
    scheme = urlsplit(resource.source).scheme if resource.source else ""
    if resource.source and scheme not in _SCHEMES:
        yield f"{path}.source: {scheme[:20]!r} is none of {', '.join(_SCHEMES)}"
    said = resource.verification.hash
    if said is not None and not _HASH.fullmatch(said):
        yield f"{path}.verification.hash: not sha512- and 128 hex digits, nor sha256- and 64"
    if scheme in ("http", "tftp") and said is None and path.startswith("storage"):
        yield f"{path}.verification.hash: missing; what comes over {scheme} can be changed on its way"


def _doubled(path: str, names: Sequence[str]) -> Iterator[str]:
    seen = set[str]()
    for name in names:
        if name in seen:
            yield f"{path}: {name[:80]!r} stands there twice"
        seen.add(name)


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "config"


def _refusal(name: str, wrong: tuple[str, ...]) -> SiteError:
    shown = "\n".join(wrong[:_SHOWN])
    more = f"\nand {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return SiteError(f"{name} is no good Ignition config", evidence=shown + more, next_action="correct these places")


_YAML = "give the JSON that butane makes of its YAML, not the YAML"
