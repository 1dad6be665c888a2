"""Manifests from wherever an application has them. Tools of others run here and only here, without a network: what they
print is kept, and nothing of them is needed when it is applied."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from images.application import compose, documents
from images.application.description import Chart, Compose, Kustomize, Nothing, Plain
from images.application.documents import Document
from images.application.source import Source
from images.archive import Archive
from images.errors import PackageError

VALUES, SCHEMA = "values.json", "values.schema.json"
_BUDGET = 120.0
_WHENCE = {
    "kustomize": "apt install kustomize (Debian 13); or give what it prints as manifests",
    "helm": "put helm on the PATH: Debian has none; or give what `helm template` prints as manifests",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """`files` by name: the values that were used, and their schema."""

    documents: tuple[Document, ...]
    files: tuple[tuple[str, bytes], ...] = ()


def render(source: Source, archive: Archive, work: Path) -> Rendered:
    """Raises ImagesError."""
    described = source.description
    match described.manifests:
        case Plain(files=files):
            read = (each for file in files for each in documents.read(source.text(file), file))
            return Rendered(documents=tuple(read))
        case Compose(file=file):
            return Rendered(documents=_translated(source, file))
        case Kustomize(folder=folder):
            printed = _printed(["kustomize", "build", str(source.below(folder))], archive, work)
            return Rendered(documents=documents.read(printed, f"kustomize build {folder}"))
        case Chart() as chart:
            return _templated(source, chart, archive, work)
        case Nothing():
            return Rendered(documents=())
        case _:
            assert_never(described.manifests)


def _translated(source: Source, file: str) -> tuple[Document, ...]:
    read = documents.read(source.text(file), file)
    return tuple(each for one in read for each in compose.translated(one, source.description.name))


def _templated(source: Source, chart: Chart, archive: Archive, work: Path) -> Rendered:
    """Helm judges the values by the chart's own schema."""
    folder, files = source.below(chart.folder), tuple(_values(source, chart))
    argv = ["helm", "template", source.description.name, str(folder), "--include-crds", "--skip-tests"]
    if chart.values:
        used = work / VALUES
        used.write_bytes(files[0][1])
        argv.append(f"--values={used}")
    if chart.kubernetes:
        argv.append(f"--kube-version={chart.kubernetes}")
    printed = _printed(argv, archive, work)
    return Rendered(documents=documents.read(printed, f"helm template {chart.folder}"), files=files)


def _values(source: Source, chart: Chart) -> Iterator[tuple[str, bytes]]:
    if chart.values:
        found = documents.read(source.text(chart.values), chart.values)
        if len(found) != 1:
            raise PackageError(f"{chart.values} has {len(found)} documents", next_action="values are one mapping")
        yield VALUES, json.dumps(found[0].value, sort_keys=True, indent=1).encode() + b"\n"
    if (source.folder / chart.folder / SCHEMA).exists():
        yield SCHEMA, source.content(f"{chart.folder}/{SCHEMA}")


def _printed(argv: list[str], archive: Archive, work: Path) -> str:
    """In a network namespace with nothing in it: what is fetched while rendering is in no package."""
    if shutil.which(argv[0]) is None:
        raise PackageError(f"{argv[0]} is not on this machine", next_action=_WHENCE[argv[0]])
    archive.progress(f"{argv[0]}: rendering")
    alone = ["unshare", "--net", *(() if os.geteuid() == 0 else ("--map-root-user",))]
    home = ["env", f"HOME={work}", f"XDG_CACHE_HOME={work}", f"XDG_CONFIG_HOME={work}", f"XDG_DATA_HOME={work}"]
    finished = archive.processes.run([*alone, *home, *argv], timeout=_BUDGET)
    if finished.status != 0:
        said = finished.errors[-1000:].decode("utf-8", "replace").strip()
        raise PackageError(f"{argv[0]} renders nothing", evidence=said, next_action="mend what it names in the source")
    try:
        return finished.output.decode()
    except UnicodeDecodeError as error:
        raise PackageError(f"{argv[0]} printed no UTF-8", evidence=str(error)) from error
