"""The Debian packages that an image is made of. As JSON:

    [{"name": "zstd", "version": "1.5.7+dfsg-1", "architecture": "amd64", "source": "libzstd", "sha256": HEX,
      "licences": ["BSD-3-clause", "GPL-2"]}, ...]

`sha256` is of the .deb, empty where that is gone. `licences` are the short names of its copyright file, empty where it
is not machine-readable: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
"""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from images.errors import BuildError
from images.ports import Processes
from images.processes import check
from images.store import sha256_of

_FORMAT = re.compile(r"^Format(-Specification)?:.*copyright-format", re.IGNORECASE | re.MULTILINE)
_LICENCE = re.compile(r"^License:[ \t]*(\S.*)$", re.IGNORECASE | re.MULTILINE)
_FIELDS = "${Package}\t${Version}\t${Architecture}\t${source:Package}\n"
_DOCUMENTATION = "usr/share/doc"
_COPYRIGHT_LIMIT = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    name: str
    version: str
    architecture: str
    source: str
    sha256: str
    licences: tuple[str, ...] = ()


def licences(copyright_text: str) -> tuple[str, ...]:
    """Of all files of a package, in order, each once; empty when nothing says so machine-readably."""
    if not _FORMAT.search(copyright_text):
        return ()
    return tuple(dict.fromkeys(found.strip() for found in _LICENCE.findall(copyright_text)))


def describe(deb: Path, tree: Path, processes: Processes) -> Package:
    """`tree` is where the package was unpacked. Raises ToolError."""
    fields = check(processes, ["dpkg-deb", "--show", f"--showformat={_FIELDS}", str(deb)]).decode()
    name, version, architecture, source = fields.rstrip("\n").split("\t")
    return Package(
        name=name,
        version=version,
        architecture=architecture,
        source=source,
        sha256=sha256_of(deb),
        licences=licences(_copyright(tree, name)),
    )


def installed(name: str, processes: Processes) -> Package:
    """A package of the machine that builds. Raises ToolError."""
    fields = check(processes, ["dpkg-query", "--show", f"--showformat={_FIELDS}", name]).decode()
    name, version, architecture, source = fields.rstrip("\n").split("\t")
    found = licences(_copyright(Path("/"), name))
    return Package(name=name, version=version, architecture=architecture, source=source, sha256="", licences=found)


def _copyright(tree: Path, name: str) -> str:
    """The folder may be a link to that of another package."""
    folder = tree / _DOCUMENTATION / name
    if folder.is_symlink():
        folder = tree / _DOCUMENTATION / folder.readlink().name
    file = folder / "copyright"
    if not file.is_file() or file.is_symlink():
        return ""
    with file.open("rb") as stream:
        return stream.read(_COPYRIGHT_LIMIT).decode("utf-8", "replace")


def brings(deb: Path, root: Path, processes: Processes) -> bool:
    """Does `root` hold a file of this package? Raises ToolError."""
    lines = check(processes, ["dpkg-deb", "--contents", str(deb)], timeout=300).decode("utf-8", "replace").splitlines()
    files = (line.split(None, 5)[5].removeprefix("./") for line in lines if line.startswith("-"))
    return any((root / _merged(file)).is_file() for file in files)


def _merged(path: str) -> str:
    return path if path.startswith("usr/") else f"usr/{path}"


def to_json(packages: Iterable[Package]) -> str:
    rows = [asdict(package) for package in sorted(packages, key=lambda one: (one.name, one.architecture))]
    return json.dumps(rows, indent=1)


def parse(text: str) -> tuple[Package, ...]:
    """Raises BuildError."""
    try:
        value: object = json.loads(text)
    except ValueError as cause:
        raise BuildError("not a list of packages", evidence=text[:200]) from cause
    if not isinstance(value, list):
        raise BuildError("not a list of packages", evidence=text[:200])
    return tuple(_parsed(row) for row in value)


def _parsed(row: object) -> Package:
    match row:
        case {
            "name": str(name),
            "version": str(version),
            "architecture": str(architecture),
            "source": str(source),
            "sha256": str(sha256),
            "licences": list(found),
        } if all(isinstance(one, str) for one in found):
            return Package(
                name=name,
                version=version,
                architecture=architecture,
                source=source,
                sha256=sha256,
                licences=tuple(found),
            )
        case _:
            raise BuildError("not a package", evidence=repr(row)[:200])
