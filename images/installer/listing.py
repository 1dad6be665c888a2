"""Which file of the archive has which content: names are keys of this list and never become paths of ours."""

import json
from collections.abc import Mapping

from images.errors import ImageFormatError
from images.installer.index import is_file


def to_json(files: Mapping[str, str]) -> str:
    """`files` is SHA-256 by path in the archive."""
    return json.dumps({"files": dict(sorted(files.items()))}, indent=0)


def parse(data: bytes) -> Mapping[str, str]:
    """Raises ImageFormatError."""
    try:
        value: object = json.loads(data)
    except ValueError as cause:
        raise ImageFormatError("the list of the archive's files is no JSON", evidence=str(cause)) from cause
    match value:
        case {"files": dict(files)} if all(_is_row(path, digest) for path, digest in files.items()):
            return files
        case _:
            raise ImageFormatError("not a list of an archive's files", evidence=repr(value)[:200])


def _is_row(path: object, digest: object) -> bool:
    return isinstance(path, str) and isinstance(digest, str) and is_file(path, digest)
