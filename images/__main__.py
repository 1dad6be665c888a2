"""`python -m images`: build what is missing, and say where it is."""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from images.appliance.recipe import NAME as APPLIANCE
from images.appliance.recipe import ensure_appliance
from images.appliance.release import ensure_release
from images.archive import Archive
from images.build import STANDARD, Product, ensure_all, unpack_sets
from images.errors import ImagesError
from images.keys import DEFAULT as DEFAULT_KEY
from images.keys import ensure_key
from images.mirror import find_mirror
from images.processes import HostProcesses
from images.ramdisk.modules import Variant
from images.store import Entry, Store

_DEFAULT_STORE = Path("~/.cache/innervate/images")
_ALL = "all"


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    store = Store(options.store.expanduser())
    variants = tuple(Variant) if options.variant == _ALL else (Variant(options.variant),)
    names = tuple(options.names) or STANDARD
    try:
        entries = _build(store, variants, names, options.key, options.into)
    except ImagesError as error:
        _explain(error)
        return 1
    if options.json:
        print(json.dumps({entry.recipe: _located(entry, store) for entry in entries}, indent=2))  # noqa: T201
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="images", description="Build firmware, ramdisk and OS images.")
    known = (*Product, APPLIANCE)
    parser.add_argument("names", nargs="*", choices=(*known, []), default=[], metavar="NAME", help=", ".join(known))
    parser.add_argument("--variant", choices=(*Variant, _ALL), default=Variant.CLOUD.value)
    parser.add_argument("--store", type=Path, default=_DEFAULT_STORE, metavar="DIR")
    parser.add_argument(
        "--key", type=Path, default=DEFAULT_KEY, metavar="FILE", help="what signs releases and upgrades; made if new"
    )
    parser.add_argument("--into", type=Path, metavar="DIR", help="artifact sets as folders below this one, to import")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    return parser


def archive(mirror: str = "") -> Archive:
    """Of this machine's mirror, unless one is named; says on standard error how far it is. Raises MirrorError."""
    return Archive(mirror=mirror or find_mirror(os.environ), processes=HostProcesses(), progress=_Stopwatch())


def _build(
    store: Store, variants: Sequence[Variant], names: Sequence[str], key: Path, into: Path | None
) -> list[Entry]:
    mirror = archive()
    products = [Product(name) for name in names if name != APPLIANCE]
    catalogues = [ensure_all(store, mirror, variant, products) for variant in variants]
    if into is not None:
        for catalogue in catalogues:
            for folder in unpack_sets(catalogue, into, store, mirror):
                mirror.progress(f"{folder}: to be imported")
    entries = [entry for catalogue in catalogues for entry in catalogue.entries.values()]
    for variant in variants if APPLIANCE in names else ():
        secret = ensure_key(key)
        entries += [ensure_appliance(variant, store, mirror, secret), ensure_release(variant, store, mirror, secret)]
    return entries


class _Stopwatch:
    """Progress with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, line: str) -> None:
        print(f"{time.monotonic() - self._start:6.1f} s  {line}", file=sys.stderr, flush=True)  # noqa: T201


def _located(entry: Entry, store: Store) -> dict[str, dict[str, str | int]]:
    return {
        artifact.name: {
            "sha256": artifact.sha256,
            "size": artifact.size,
            "media": artifact.media,
            "path": str(store.path_of(artifact.sha256)),
        }
        for artifact in entry.artifacts
    }


def _explain(error: ImagesError) -> None:
    lines = [f"error: {error}", error.evidence, error.next_action and f"next: {error.next_action}"]
    print("\n".join(line for line in lines if line), file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
