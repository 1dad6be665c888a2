"""`innervate set describe`: a folder that a person has filled becomes an artifact set. Asks no daemon."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.context import Json
from appliance.errors import MachineryError, UsageError
from images.engine import Engine, Provenance


def add_to(app: typer.Typer) -> None:
    """To the group `set`, which the command line has."""
    for group in app.registered_groups:
        if group.name == "set" and group.typer_instance is not None:
            group.typer_instance.command("describe")(describe)


def describe(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Files, and an OCI image layout in DIR/oci.")],
    engine: Annotated[Engine, typer.Option(help="Whose cluster it makes.")],
    version: Annotated[str, typer.Option(help="As the engine writes it: v1.33.4+k3s1.")],
    provenance: Annotated[Provenance, typer.Option(help="Whose work the engine is.")],
    arch: Annotated[str, typer.Option(help="Of the machines.")] = "amd64",
    roles: Annotated[list[str] | None, typer.Argument(metavar="[NAME=ROLE]...", help="What each file is for.")] = None,
    as_json: Json = False,
) -> None:
    """Hash all of a folder, and write what is in it to DIR/set.json.

    Example: innervate set describe k3s --engine k3s --version v1.33.4+k3s1 --provenance genuine k3s=k3s
    """
    from images.errors import ImagesError
    from images.set_folder import SetFolder
    from images.set_making import describe as described
    from images.set_making import write_description

    stated = _stated(roles or ())
    try:
        source = SetFolder(folder)
        try:
            made = described(source, engine=engine, version=version, arch=arch, provenance=provenance, roles=stated)
        finally:
            source.close()
        write_description(folder, made)
    except ImagesError as error:
        raise UsageError(str(error), evidence=error.evidence, next_action=error.next_action) from error
    except OSError as error:
        raise MachineryError(f"{folder} cannot be written", evidence=str(error)) from error
    said = f"{made.name}: {len(made.files)} files, {len(made.images)} images, {made.provenance}\n"
    sys.stdout.write(made.to_json().decode() if as_json else said)


def _stated(words: Sequence[str]) -> dict[str, str]:
    pairs = [word.partition("=") for word in words]
    stated = {name: role for name, _, role in pairs}
    if not all(equals for _, equals, _ in pairs) or len(stated) != len(pairs):
        raise UsageError("roles are given as NAME=ROLE", evidence=" ".join(words)[:200], next_action="each file once")
    return stated
