"""Debian packages of an artifact set, on their way onto a machine. Pure."""

from collections.abc import Iterable, Sequence

from appliance.nodes.job import Act, Download
from images.artifact_set import SetFile


def fetched(files: Iterable[SetFile], folder: str) -> tuple[Download, ...]:
    return tuple(Download(sha256=file.sha256, path=f"{folder}/{file.name}") for file in files)


def installed(packages: Sequence[Download]) -> Act:
    """Together: each may need another. What a person has configured stays as it is."""
    how = ("--install", "--skip-same-version", "--refuse-downgrade", "--force-confold")
    argv = ("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", *how, *(one.path for one in packages))
    return Act(argv=argv, says="installing packages")
