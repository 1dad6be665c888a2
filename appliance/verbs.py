"""`innervate`: the verbs of the command line, the two other front-ends, and the two that are the appliance itself."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.app import build, run
from appliance.cli.context import client_of
from appliance.lab import verbs as lab


def main(arguments: Sequence[str] | None = None) -> int:
    app = build()
    for verb in (daemon, check, setup, tui, menu):
        app.command()(verb)
    app.add_typer(lab.build(), name="lab", help="A virtual rack on this machine, to rehearse on.")
    return run(app, arguments)


def daemon(config: Annotated[Path, typer.Option(help="The configuration, in TOML.")]) -> None:
    """Run the appliance in the foreground."""
    from appliance.daemon import main as daemon_main

    raise typer.Exit(daemon_main(config))


def setup(
    ramdisk: Annotated[str, typer.Option(help="The discovery ramdisk that machines get.")] = "generic",
) -> None:
    """Ask what the appliance has to know when it boots for the first time."""
    from appliance.setup.ground import Host, Tty
    from appliance.setup.setup import set_up
    from appliance.system import SystemClock, SystemRng
    from images.processes import HostProcesses

    set_up(Tty(), Host(HostProcesses(), SystemClock(), SystemRng()), ramdisk=ramdisk)


def tui(context: typer.Context) -> None:
    """Show the rack on this terminal, and steer it by keys."""
    from appliance.tui.app import main as tui_main

    tui_main(client_of(context))


def menu(context: typer.Context) -> None:
    """Ask and answer line by line, on terminals that can do nothing else."""
    from appliance.tui.menu import main as menu_main

    raise typer.Exit(menu_main(client_of(context)))


def check(file: Annotated[Path, typer.Argument(metavar="FILE")]) -> None:
    """Check a site program without touching anything."""
    from appliance.site import summary

    sys.stdout.write(summary(file))
