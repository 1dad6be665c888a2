"""`innervate image build` and `innervate image sbom`: the appliance's own image, made and looked into."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.context import Json, print_json
from appliance.errors import MachineryError, NotFoundError, UsageError
from appliance.model.words import Buildable

if TYPE_CHECKING:
    from images.appliance.sbom import Line
    from images.errors import ImagesError
    from images.store import Store

_STORE = Path("~/.cache/innervate/images")
_KEY = Path("~/.cache/innervate/keys/innervate.key")
_INTO = Path("innervate-release")

Kept = Annotated[Path, typer.Option("--store", metavar="DIR", help="Where what was built is kept.")]


def add_to(app: typer.Typer) -> None:
    """To the group `image`, which the command line has."""
    for group in app.registered_groups:
        if group.name == "image" and group.typer_instance is not None:
            group.typer_instance.command("build")(image_build)
            group.typer_instance.command("sbom")(image_sbom)


def image_build(
    what: Annotated[Buildable, typer.Argument(metavar="appliance", help="The bootable appliance.")],
    into: Annotated[Path, typer.Option(metavar="DIR", help="The folder that the release is put into.")] = _INTO,
    key: Annotated[Path, typer.Option(metavar="FILE", help="What signs it; made if it is not there.")] = _KEY,
    store: Kept = _STORE,
    as_json: Json = False,
) -> None:
    """Build the appliance as raw image, qcow2 and ISO, with what is in it and signed sums. Needs root and a mirror.

    Example: innervate image build appliance --into /srv/innervate
    """
    from images.errors import ImagesError

    _refuse_without_means(what)
    try:
        files = _built(into, key, store.expanduser())
    except ImagesError as error:
        raise _told(error) from error
    if as_json:
        print_json({path.name: str(path) for path in files})
    else:
        sys.stdout.write("".join(f"{path}\n" for path in files))


def image_sbom(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A release's appliance.cdx.json.")] = None,
    store: Kept = _STORE,
    as_json: Json = False,
) -> None:
    """Show what is in the appliance's image: that of FILE, else that of the last release that was built here.

    Example: innervate image sbom --json > appliance.cdx.json
    """
    from images.appliance.sbom import lines
    from images.errors import ImagesError
    from images.store import Store

    try:
        text = file.read_text("utf-8") if file else _last(Store(store.expanduser()))
        if as_json:
            sys.stdout.write(text)
        else:
            sys.stdout.write("".join(map(_row, lines(text))))
    except (OSError, UnicodeDecodeError) as error:
        raise NotFoundError("the file cannot be read", evidence=str(error)) from error
    except ImagesError as error:
        raise _told(error) from error


def _refuse_without_means(what: Buildable) -> None:
    from images.means import lacking

    if missing := lacking():
        raise UsageError(
            f"this machine has not what builds the {what.value}",
            evidence=f"missing Debian packages: {', '.join(missing)}",
            next_action=f"apt install {' '.join(missing)}; the appliance itself cannot build: use a Debian machine",
        )
    if os.geteuid() != 0:
        raise UsageError("building needs root", evidence=f"user {os.geteuid()}", next_action="run it with sudo")


def _built(into: Path, key: Path, root: Path) -> tuple[Path, ...]:
    from images.__main__ import archive
    from images.appliance.release import ensure_release, place
    from images.keys import ensure_key
    from images.ramdisk.modules import Variant
    from images.store import Store

    store = Store(root)
    return place(ensure_release(Variant.GENERIC, store, archive(), ensure_key(key)), store, into)


def _last(store: "Store") -> str:
    from images.appliance.release import last_sbom

    if (text := last_sbom(store)) is None:
        raise NotFoundError(
            "no release was built here",
            evidence=f"none in {store.root}",
            next_action="innervate image build appliance, or name the release's appliance.cdx.json",
        )
    return text


def _row(line: "Line") -> str:
    return f"{line.place:<10} {line.name:<36} {line.version:<32} {', '.join(line.licences)}\n"


def _told(error: "ImagesError") -> MachineryError:
    return MachineryError(str(error), evidence=error.evidence, next_action=error.next_action)
