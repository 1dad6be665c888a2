"""The end: `innervate site leave`, `innervate appliance reset`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.context import Json, client_of, print_json, secret_in
from appliance.cli.exits import Exit
from appliance.errors import MachineryError, RefusedError, UsageError
from appliance.model.text import clean

if TYPE_CHECKING:
    from appliance.model.leaving_views import LeaveView, LeftBmcView

Confirm = Annotated[str, typer.Option(metavar="SITE", help="The site's name; without a terminal to type it on.")]
_LINE = 1000


def leave(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the sealed log-ins are put.")],
    passphrase_file: Annotated[
        Path | None, typer.Option("--passphrase-file", help="Read it from the first line of a file.")
    ] = None,
    confirm: Confirm = "",
    as_json: Json = False,
) -> None:
    """Hand the BMCs over: each password of the appliance's own is replaced, proven dead, the new one sealed in FILE.

    Nothing is erased: that is `innervate appliance reset`, once FILE can be opened (`innervate hand-over FILE`).
    """
    from base64 import b64decode

    from appliance.model.leaving_views import Fate, LeaveRequest

    client = client_of(context)
    site = _confirmed(client.health().site, confirm)
    _refuse_existing(file)
    request = LeaveRequest(site=site, passphrase=_phrase(passphrase_file))
    view = client.leave_site(request)
    _keep(file, b64decode(view.hand_over))
    print_json(view) if as_json else print("\n".join(_told(view, file)))
    if any(bmc.fate in (Fate.NOT_PROVEN, Fate.NOT_REACHED) for bmc in view.bmcs):
        raise typer.Exit(Exit.PARTIAL)


def reset(context: typer.Context, confirm: Confirm = "", as_json: Json = False) -> None:
    """Erase everything that the appliance knows; its next start is a first one. Leave the site before."""
    from appliance.model.leaving_views import Erasure

    client = client_of(context)
    view = client.reset_appliance(_confirmed(client.health().site, confirm))
    if as_json:
        print_json(view)
    elif view.erases is Erasure.DISK:
        print("the data partition is being erased; the appliance then starts anew and asks its first questions")
    else:
        print("the daemon ends, and erases its state folder; configuration and site program are yours and stay")


def _confirmed(site: str, said: str) -> str:
    from appliance.cli.follow import ask
    from appliance.frontend.provision import is_name

    if not said and sys.stdin.isatty():
        said = ask(f"Type the site's name ({clean(site, 63)}) to go on, anything else to leave it: ")
    if not is_name(said, site):
        raise RefusedError("nothing is done: the site's name was not given", next_action="give --confirm SITE")
    return site


def _phrase(file: Path | None) -> str:
    if file is not None:
        return secret_in(file)
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask for the passphrase", next_action="give --passphrase-file FILE")
    from getpass import getpass

    said = getpass("Passphrase of the hand-over: ")
    if getpass("The same again: ") != said:
        raise UsageError("these are two passphrases", next_action="begin again")
    return said


def _refuse_existing(file: Path) -> None:
    if file.exists():
        raise UsageError(f"{file} is there already", next_action="name a new file")


def _keep(file: Path, sealed: bytes) -> None:
    from appliance.files import write_whole

    try:
        write_whole(file, sealed)
    except OSError as error:
        action = "name another file and ask again: the appliance still knows the log-ins"
        raise MachineryError(f"{file} cannot be written", evidence=str(error), next_action=action) from error


def _told(view: "LeaveView", file: Path) -> Iterator[str]:
    for bmc in view.bmcs:
        yield from _fate(bmc)
    if not view.bmcs:
        yield "the appliance has entered no BMC"
    yield f"sealed log-ins: {file} (open it: innervate hand-over {file})"
    if view.keys:
        yield "this key of the appliance stays on machines that it installed, and opens nothing once it is erased here:"
        yield from (f"  {clean(key, _LINE)}" for key in view.keys)
    yield "the appliance still knows all of it: innervate appliance reset"


def _fate(bmc: "LeftBmcView") -> Iterator[str]:
    from appliance.model.leaving_views import Fate

    said = {
        Fate.HANDED_OVER: "a new password works, the appliance's is refused",
        Fate.YOURS: "your log-in, unchanged",
        Fate.NOT_PROVEN: "a new password works; the appliance's IS STILL TAKEN: change it by hand",
        Fate.NOT_REACHED: "NOT REACHED: the last log-in known is in the file",
    }
    yield "  ".join(
        (clean(bmc.url, 200), clean(bmc.machine, 63) or "(no machine)", clean(bmc.user, 60), said[bmc.fate])
    )
    if bmc.problem:
        yield f"    {clean(bmc.problem, _LINE)}"
    if bmc.evidence:
        yield f"    seen: {clean(bmc.evidence, _LINE)}"
