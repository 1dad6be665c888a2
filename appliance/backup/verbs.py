"""`innervate backup`: the appliance's memory in one sealed file, looked at, and put in its place again."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from appliance.cli.context import secret_in
from appliance.errors import AbsentError, ConflictError, InnervateError, UsageError

if TYPE_CHECKING:
    from appliance.backup.archive import Manifest
    from appliance.config import Settings
    from appliance.model.secret import Secret
    from appliance.model.views import SnapshotView

File = Annotated[Path, typer.Argument(metavar="FILE")]
Phrase = Annotated[Path | None, typer.Option("--passphrase-file", help="Read it from the first line of a file.")]


def build() -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    for verb in (create, verify, restore):
        app.command()(verb)
    return app


def create(
    file: File,
    config: Annotated[Path, typer.Option(help="The daemon's configuration.")],
    passphrase_file: Phrase = None,
) -> None:
    """Write a backup, while the daemon runs or not. Run it as root on the daemon's machine.

    Example: innervate backup create /media/stick/rack.backup --config /etc/innervate/innervate.toml
    """
    from appliance import __version__
    from appliance.backup.archive import About, pack
    from appliance.backup.envelope import SCRYPT_COST
    from appliance.backup.state import sources
    from appliance.backup.writing import appearing
    from appliance.config import load
    from appliance.system import SystemClock, SystemRng

    settings = load(config)
    phrase = _phrase(passphrase_file, twice=True)
    snapshot = _snapshot(settings)
    about = About(
        version=__version__,
        site=snapshot.site,
        created=SystemClock().now(),
        records=snapshot.records,
        images=_images(settings),
    )
    copy = Path(snapshot.file)
    try:
        with appearing(file) as out:
            manifest = pack(sources(settings, config, copy), about, out, phrase, SystemRng(), cost=SCRYPT_COST)
    finally:
        copy.unlink(missing_ok=True)
    print(_said(manifest))


def verify(file: File, passphrase_file: Phrase = None) -> None:
    """Read all of a backup, and hold each file against its hash."""
    from appliance.backup.archive import unpack

    phrase = _phrase(passphrase_file)
    with _opened(file) as source:
        print(_said(unpack(source, phrase, None)))


def restore(
    file: File,
    folder: Annotated[Path, typer.Argument(metavar="STATE_DIR")],
    passphrase_file: Phrase = None,
    replace: Annotated[bool, typer.Option("--replace", help="Move what is there aside, to STATE_DIR.before.")] = False,
) -> None:
    """Put a backup in place of a state folder, all of it or nothing."""
    from appliance.backup.archive import unpack
    from appliance.backup.state import BESIDE, placed

    phrase = _phrase(passphrase_file)
    with _opened(file) as source:
        manifest = placed(folder, lambda into: unpack(source, phrase, into), replace=replace)
    print(_said(manifest))
    for member in manifest.members:
        if member.origin:
            print(f"{folder / BESIDE / Path(member.path).name}: stood at {member.origin}")


def text_in(file: Path, passphrase_file: Path | None) -> str:
    """What else is sealed as backups are."""
    from appliance.backup.envelope import Opening

    phrase = _phrase(passphrase_file)
    with _opened(file) as source:
        return b"".join(iter(Opening(source, phrase).read, b"")).decode("utf-8", "replace")


def _snapshot(settings: "Settings") -> "SnapshotView":
    """Of the record log: by the daemon, which owns it; where none runs, by ourselves."""
    from appliance.backup.snapshot import snapshot_of
    from appliance.backup.state import RECORDS, is_running
    from appliance.client import Client
    from appliance.site import load
    from appliance.store.log import Log
    from appliance.system import SystemClock

    try:
        return Client(settings.socket, timeout=600).snapshot()
    except AbsentError as error:
        if is_running(settings.state_dir):
            action = f"ask it on its own socket; {settings.socket} does not answer"
            raise ConflictError(f"a daemon works on {settings.state_dir}", next_action=action) from error
    if not (settings.state_dir / RECORDS).is_file():
        raise UsageError(f"{settings.state_dir} holds no record log", next_action="name the daemon's configuration")
    log = Log(settings.state_dir / RECORDS, SystemClock())
    log.open()
    try:
        return snapshot_of(log.copy, settings.state_dir, load(settings.site).name).result()
    finally:
        log.close()


def _images(settings: "Settings") -> dict[str, str]:
    """A store that is incomplete hinders no backup."""
    from appliance.services.stock import files_of, take_stock

    try:
        images = take_stock(settings).images.values()
    except InnervateError as error:
        print(f"no images are named in it: {error}", file=sys.stderr)
        return {}
    return {image.name: ", ".join(f"{what} {digest}" for digest, what in files_of(image).items()) for image in images}


def _phrase(file: Path | None, *, twice: bool = False) -> "Secret":
    from appliance.backup.envelope import checked

    if file is not None:
        return checked(secret_in(file))
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask for the passphrase", next_action="give --passphrase-file FILE")
    from getpass import getpass

    said = checked(getpass("Passphrase of the file: "))
    if twice and getpass("The same again: ") != said.reveal():
        raise UsageError("these are two passphrases", next_action="begin again")
    return said


def _opened(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        raise UsageError(f"{file} cannot be read", evidence=str(error), next_action="name a backup") from error


def _said(manifest: "Manifest") -> str:
    from datetime import UTC, datetime

    size = sum(member.size for member in manifest.members)
    made = datetime.fromtimestamp(manifest.created, UTC).isoformat(timespec="seconds")
    lines = [
        f"site {manifest.site}, made {made} by version {manifest.version}",
        f"{len(manifest.members)} files, {size} bytes, record log up to {manifest.records}",
        *(f"needs image {name}: {parts}" for name, parts in manifest.images.items()),
    ]
    return "\n".join(lines)
