"""What a signed Debian archive says of itself, and which part of it an installation needs. Pure.

Formats: Debian repository format (wiki.debian.org/DebianRepository/Format), deb-control(5), bzImage header
(Linux Documentation/arch/x86/boot.rst).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from images.errors import BuildError

_ALWAYS = frozenset({"required", "important"})
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PATH = re.compile(r"(?!.*(?:^|/)\.\.?(?:/|$))[A-Za-z0-9][A-Za-z0-9._+~:/-]{0,300}")
_FIELD = re.compile(r"^([A-Za-z0-9-]+): (.+)$", re.MULTILINE)
_VERSION_AT, _MAGIC_AT = 0x20E, 0x202
_SETUP = 0x200


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A stanza of a Packages file."""

    name: str
    path: str
    sha256: str
    priority: str


def release_table(text: str) -> Mapping[str, str]:
    """SHA-256 by path relative to the Release file. Raises BuildError."""
    _, found, table = text.partition("\nSHA256:\n")
    rows = (line.split() for line in table.splitlines() if line.startswith(" "))
    hashes = {row[2]: row[0] for row in rows if len(row) == 3 and _SHA256.fullmatch(row[0])}
    if not found or not hashes:
        raise BuildError("the archive's Release file names no SHA-256", evidence=text[:200])
    return hashes


def parse_packages(text: str) -> Mapping[str, Package]:
    """By name. A stanza that lacks what we need, or whose path is none, is left out."""
    packages: dict[str, Package] = {}
    for stanza in text.split("\n\n"):
        fields = dict(_FIELD.findall(stanza))
        name, path, digest = fields.get("Package", ""), fields.get("Filename", ""), fields.get("SHA256", "")
        if name and is_file(path, digest):
            packages[name] = Package(name=name, path=path, sha256=digest, priority=fields.get("Priority", ""))
    return packages


def always(packages: Iterable[Package]) -> tuple[str, ...]:
    """What debootstrap(8) installs whatever else is wanted."""
    return tuple(sorted(package.name for package in packages if package.priority in _ALWAYS))


def chosen(packages: Mapping[str, Package], names: Iterable[str]) -> Mapping[str, str]:
    """SHA-256 by path. Raises BuildError for a name that the archive does not have."""
    wanted = sorted(set(names))
    if missing := [name for name in wanted if name not in packages]:
        raise BuildError("the archive lacks packages", evidence=", ".join(missing)[:300])
    return {packages[name].path: packages[name].sha256 for name in wanted}


def parse_lock(text: str) -> Mapping[str, str]:
    """SHA-256 by path, of lines `SHA256 PATH`. Raises BuildError."""
    rows = [tuple(line.split()) for line in text.splitlines() if line and not line.startswith("#")]
    for row in rows:
        if len(row) != 2 or not is_file(row[1], row[0]):
            raise BuildError("a line of the lock file is none", evidence=" ".join(row)[:200])
    return {path: digest for digest, path in rows}


def kernel_version(image: bytes) -> str:
    """Of a bzImage, as its modules' folder is called. Raises BuildError."""
    if image[_MAGIC_AT : _MAGIC_AT + 4] != b"HdrS":
        raise BuildError("the installer's kernel is no bzImage", evidence=image[_MAGIC_AT : _MAGIC_AT + 4].hex())
    start = int.from_bytes(image[_VERSION_AT : _VERSION_AT + 2], "little") + _SETUP
    return image[start : start + 256].partition(b"\0")[0].decode("ascii", "replace").partition(" ")[0]


def is_file(path: str, digest: str) -> bool:
    """Whether these can be a path in the archive and a SHA-256."""
    return bool(_PATH.fullmatch(path) and _SHA256.fullmatch(digest))
