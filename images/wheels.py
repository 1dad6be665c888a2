"""The Python packages of an image, as pip installed them. As JSON, sorted by name:

[{"name": "zstandard", "version": "0.25.0", "file": "zstandard-0.25.0-cp313-...whl", "sha256": HEX}, ...]
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from images.errors import BuildError

_SCRIPTS = "bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    name: str
    version: str
    file: str
    sha256: str


def of_report(text: str) -> tuple[Wheel, ...]:
    """Of what `pip install --report` wrote: https://pip.pypa.io/en/stable/reference/installation-report/. Raises
    BuildError."""
    match _load(text):
        case {"install": list(rows)}:
            return tuple(sorted((_installed(row) for row in rows), key=lambda wheel: wheel.name))
        case _:
            raise BuildError("pip's report is none", evidence=text[:200])


def _installed(row: object) -> Wheel:
    match row:
        case {
            "metadata": {"name": str(name), "version": str(version)},
            "download_info": {"url": str(url), "archive_info": {"hashes": {"sha256": str(sha256)}}},
        }:
            file = PurePosixPath(unquote(urlsplit(url).path)).name
            return Wheel(name=name.lower().replace("_", "-"), version=version, file=file, sha256=sha256)
        case _:
            raise BuildError("pip's report has a row that is no wheel", evidence=repr(row)[:200])


def drop_scripts(library: Path) -> None:
    """Commands that nobody calls there; their first line names the builder's own Python."""
    for record in library.glob("*.dist-info/RECORD"):
        lines = record.read_text("utf-8").splitlines(keepends=True)
        record.write_text("".join(line for line in lines if not line.startswith(f"../../{_SCRIPTS}/")), "utf-8")
    for script in (library / _SCRIPTS).glob("*"):
        script.unlink()
    (library / _SCRIPTS).rmdir()


def to_json(wheels: Iterable[Wheel]) -> str:
    return json.dumps([asdict(wheel) for wheel in wheels], indent=1)


def parse(text: str) -> tuple[Wheel, ...]:
    """Raises BuildError."""
    rows = _load(text)
    if not isinstance(rows, list):
        raise BuildError("not a list of wheels", evidence=text[:200])
    return tuple(_parsed(row) for row in rows)


def _parsed(row: object) -> Wheel:
    match row:
        case {"name": str(name), "version": str(version), "file": str(file), "sha256": str(sha256)}:
            return Wheel(name=name, version=version, file=file, sha256=sha256)
        case _:
            raise BuildError("not a wheel", evidence=repr(row)[:200])


def _load(text: str) -> object:
    try:
        value: object = json.loads(text)
    except ValueError as cause:
        raise BuildError("no JSON", evidence=text[:200]) from cause
    return value
