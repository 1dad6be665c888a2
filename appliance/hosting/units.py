"""Units of podman as a package states them, and as a host gets them. Pure.

podman-systemd.unit(5). What a unit means is what it meant when it was packaged: one reader does both.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from appliance.errors import UsageError
from appliance.model.application import AppName
from images.application.quadlet import name_of, named
from images.artifact_set import ArtifactSet
from images.errors import PackageError

LABEL = "innervate.application"
"""By which all that podman has of an application is found."""
CONTAINER, NETWORK, VOLUME = "container", "network", "volume"
_SECTIONS = {CONTAINER: "[Container]", NETWORK: "[Network]", VOLUME: "[Volume]"}
_INSTALL, _WANTED = "[Install]", "WantedBy=multi-user.target"
_OURS = ("Pull=", "Label=innervate.")
"""Beginnings of what we say ourselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """`file` without its folder, `text` as the host gets it."""

    file: str
    text: str

    @property
    def kind(self) -> str:
        return self.file.rpartition(".")[2]

    @property
    def service(self) -> str:
        """As systemd calls what podman's generator makes of it."""
        return service_of(self.file)

    @property
    def sha256(self) -> str:
        return sha256(self.text.encode()).hexdigest()


def service_of(file: str) -> str:
    name, _, kind = file.rpartition(".")
    return f"{name}.service" if kind == CONTAINER else f"{name}-{kind}.service"


def units(package: ArtifactSet, texts: Mapping[str, bytes], name: AppName, registry: str) -> tuple[Unit, ...]:
    """`texts` by file. Images are by digest, from `registry` (HOST:PORT), and are on the host already when a unit
    starts; every container starts at boot. Raises `UsageError` for what no package may hold."""
    images = pulled(package, registry)
    return tuple(Unit(file=file, text=_text(file, raw, name, images)) for file, raw in sorted(texts.items()))


def pulled(package: ArtifactSet, registry: str) -> Mapping[str, str]:
    """How the host pulls each image, by the name by which the package's files mean it."""
    return {image.name: f"{registry}/{image.repository}@{image.digest}" for image in package.images}


def _text(file: str, raw: bytes, name: AppName, images: Mapping[str, str]) -> str:
    try:
        lines = named(raw.decode(), name_of(file), images).splitlines()
    except UnicodeDecodeError as error:
        raise _malformed(f"{file}: {error}") from error
    except PackageError as error:
        raise _malformed(f"{error}: {error.evidence}") from error
    kind = file.rpartition(".")[2]
    own = (f"Label={LABEL}={name}", *(("Pull=never",) if kind == CONTAINER else ()))
    kept = [line for line in lines if not _said(line).startswith(_OURS)]
    said = _with(kept, _SECTIONS[kind], own)
    return "\n".join(_wanted(said) if kind == CONTAINER else said) + "\n"


def _with(lines: Sequence[str], section: str, own: Sequence[str]) -> list[str]:
    """`own` at the beginning of that section."""
    stripped = [line.strip() for line in lines]
    at = stripped.index(section) + 1 if section in stripped else 0
    return [*lines[:at], *own, *lines[at:]] if at else [section, *own, *lines]


def _wanted(lines: Sequence[str]) -> list[str]:
    """So that a host that starts anew starts it, too."""
    if any(line.startswith(("WantedBy=", "RequiredBy=")) for line in _of_section(lines, _INSTALL)):
        return list(lines)
    return _with(lines, _INSTALL, (_WANTED,)) if _INSTALL in map(str.strip, lines) else [*lines, "", _INSTALL, _WANTED]


def _of_section(lines: Sequence[str], section: str) -> Iterator[str]:
    here = ""
    for line in map(_said, lines):
        if line.startswith("["):
            here = line
        elif here == section:
            yield line


def _said(line: str) -> str:
    key, equals, value = line.partition("=")
    return f"{key.strip()}{equals}{value.strip()}"


def _malformed(evidence: str) -> UsageError:
    return UsageError(
        "the units of the package are malformed",
        evidence=evidence[:200],
        next_action="package the application again: innervate package build",
    )
