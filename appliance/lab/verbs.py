"""`innervate lab`: a virtual rack that stays until it is ended. Each verb imports what it needs when it runs."""

import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.context import Json, print_json

if TYPE_CHECKING:
    from appliance.lab.kept import Lab

_MOST = 8

Folder = Annotated[Path, typer.Option(help="Where its disks, logs and socket are.")]
_FOLDER = Path("/var/tmp/innervate-lab")  # noqa: S108  made with mode 700, for root


class Firmware(Enum):
    UEFI = "uefi"
    BIOS = "bios"
    HTTP = "http"


class Bmc(Enum):
    REDFISH = "redfish"
    IPMI = "ipmi"
    BOTH = "both"


def build() -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    for verb in (up, status, down):
        app.command()(verb)
    return app


def up(
    nodes: Annotated[int, typer.Option(min=1, max=_MOST, help="How many machines.")] = 2,
    firmware: Annotated[Firmware, typer.Option(help="Of the machines; http is UEFI HTTP Boot.")] = Firmware.UEFI,
    bmc: Annotated[Bmc, typer.Option(help="How they are controlled.")] = Bmc.REDFISH,
    folder: Folder = _FOLDER,
    as_json: Json = False,
) -> None:
    """Start a virtual rack and a daemon of its own; its machines are off. Needs root.

    Example: innervate lab up --nodes 3; innervate --socket /var/tmp/innervate-lab/api.sock apply
    """
    from appliance.lab import kept

    wanted = kept.Wanted(nodes=nodes, firmware=firmware.value, bmc=bmc.value)
    if kept.found(folder) is None:
        _build_images(firmware)
    lab = kept.up(folder, kept.argv_of(folder, wanted))
    print_json(lab) if as_json else _say(f"{_says(lab)}\nnext: innervate --socket {lab.socket} apply")


def status(folder: Folder = _FOLDER, as_json: Json = False) -> None:
    """Show the virtual rack that runs, and its machines."""
    import time

    from appliance.cli import show
    from appliance.client import Client
    from appliance.lab import kept

    lab = kept.found(folder)
    if as_json:
        print_json(lab)
    elif lab is None:
        _say(f"no lab runs in {folder}; `innervate lab up` starts one")
    else:
        _say(_says(lab))
        show.console().print(show.machines(Client(lab.socket).machines(), time.time()))


def down(folder: Folder = _FOLDER, as_json: Json = False) -> None:
    """End the virtual rack and its daemon. Its disks and its log are kept for the next time."""
    from appliance.lab import kept

    lab = kept.down(folder)
    print_json(lab) if as_json else _say(f"the lab in {folder} is down; `innervate lab up` goes on where it was")


def _build_images(firmware: Firmware) -> None:
    """Minutes the first time; here, where a person sees how far it is."""
    from appliance.errors import MachineryError
    from appliance.lab.demo import ensure_images, parse
    from images.errors import ImagesError

    try:
        ensure_images(uefi=parse(["--firmware", firmware.value]).uefi)
    except ImagesError as error:
        raise MachineryError(str(error), evidence=error.evidence, next_action=error.next_action) from error


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _says(lab: "Lab") -> str:
    wanted = lab.wanted
    return f"{wanted.nodes} machines, firmware {wanted.firmware}, BMC {wanted.bmc}; pid {lab.pid}, socket {lab.socket}"
