"""`innervate package`: an application becomes an artifact set. Asks no daemon."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.context import Json
from appliance.errors import InnervateError, MachineryError, UsageError

if TYPE_CHECKING:
    from images.errors import ImagesError

_STORE = Path("~/.cache/innervate/images")
_KEY = Path("~/.cache/innervate/keys/innervate.key")
_NO_MIRROR = "http://mirror.invalid"
"""Of who takes no packages (RFC 6761, 6.4): a machine without Debian can build the rest."""

Kept = Annotated[Path, typer.Option("--store", metavar="DIR", help="Where what was built is kept.")]
Key = Annotated[Path, typer.Option(metavar="FILE", help="What signs it; made if it is not there.")]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.callback()(_group)
    group.command("build")(build)
    group.command("check")(check)
    app.add_typer(group, name="package", help="Applications as artifact sets.")


def _group() -> None:
    """Applications as artifact sets."""


def build(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="The folder with application.toml.")],
    into: Annotated[Path, typer.Option(metavar="DIR", help="The folder of sets that it is put into.")],
    key: Key = _KEY,
    store: Kept = _STORE,
    as_json: Json = False,
) -> None:
    """Make the images, render the manifests, list what is inside, sign it: DIR/NAME-VERSION-ARCH, to be imported.

    Example: innervate package build examples/application/one --into /srv/innervate/sets
    """
    from images.__main__ import archive
    from images.application.build import package
    from images.application.source import Source
    from images.errors import ImagesError
    from images.keys import ensure_key
    from images.store import Store

    try:
        secret = ensure_key(key)
        mirror = archive("" if Source(source).description.packages else _NO_MIRROR)
        made = package(source, into, Store(store.expanduser()), mirror, secret)
    except ImagesError as error:
        raise told(error) from error
    except OSError as error:
        raise MachineryError(f"{into} cannot be written", evidence=str(error)[:200]) from error
    what = f"{into / made.name}: {len(made.files)} files, {len(made.images)} images"
    said = f"{what}\nsigned; whoever has to trust it states {secret.public.line}\n"
    sys.stdout.write(made.to_json().decode() if as_json else said)


def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The package: DIR/set.json and what it names.")],
    key: Annotated[Path, typer.Option(metavar="FILE", help="The public key of who has signed it.")],
    as_json: Json = False,
) -> None:
    """Read and hash all of a package, and see whose signature it has, before it is carried anywhere.

    Example: innervate package check sets/web-1.0.0-amd64 --key ~/.cache/innervate/keys/innervate.pub
    """
    from images.application.checking import checked
    from images.errors import ImagesError
    from images.signature import read_public

    try:
        described = checked(folder, (read_public(_text_of(key)),))
    except ImagesError as error:
        raise told(error) from error
    said = f"{described.name}: whole, and signed with this key\n"
    sys.stdout.write(described.to_json().decode() if as_json else said)


def _text_of(file: Path) -> str:
    try:
        return file.expanduser().read_text("ascii")
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {file}", evidence=str(error)[:200], next_action="name a key's .pub") from error


def told(error: "ImagesError") -> InnervateError:
    """What the author has to mend is a usage, what the machine lacks is its machinery."""
    from images.errors import MirrorError, StoreError, ToolError

    kind = MachineryError if isinstance(error, MirrorError | StoreError | ToolError) else UsageError
    return kind(str(error), evidence=error.evidence, next_action=error.next_action)
