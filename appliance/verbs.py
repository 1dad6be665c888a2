"""`innervate`: the verbs of the command line, the two other front-ends, and the two that are the appliance itself."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from appliance import describing, imaging
from appliance.acceptance import verbs as acceptance
from appliance.backup import verbs as backup
from appliance.cli.app import build, run
from appliance.cli.context import client_of
from appliance.cli.exits import Exit
from appliance.lab import verbs as lab
from appliance.netbox import verbs as netbox


def main(arguments: Sequence[str] | None = None) -> int:
    return run(whole(), arguments)


@cache
def whole() -> typer.Typer:
    """With every verb that there is."""
    app = build()
    for verb in (daemon, check, setup, tui, menu, hand_over):
        app.command()(verb)
    app.add_typer(backup.build(), name="backup", help="Keep the appliance's memory in one sealed file.")
    app.add_typer(netbox.build(), name="netbox", help="Import from NetBox, and export to it, as diffs.")
    app.add_typer(acceptance.build(), name="accept", help="Try a set here, and sign what came of it.")
    imaging.add_to(app)
    describing.add_to(app)
    app.add_typer(lab.build(), name="lab", help="A virtual rack on this machine, to rehearse on.")
    return app


def daemon(config: Annotated[Path, typer.Option(help="The configuration, in TOML.")]) -> None:
    """Run the appliance in the foreground."""
    from appliance.daemon import main as daemon_main

    raise typer.Exit(daemon_main(config))


def setup(
    ramdisk: Annotated[str, typer.Option(help="The discovery ramdisk that machines get.")] = "generic",
) -> None:
    """Open the appliance's data, ask what it has to know at its first boot, and start it."""
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


def hand_over(file: backup.File, passphrase_file: backup.Phrase = None) -> None:
    """Show the log-ins that an appliance has left in a sealed file: innervate site leave."""
    sys.stdout.write(backup.text_in(file, passphrase_file))


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, faults included.")] = False,
) -> None:
    """Check a site program without touching anything."""
    from appliance.errors import UsageError
    from appliance.model.codec import to_json
    from appliance.model.site_views import SiteCheckView, SiteFaultView
    from appliance.site import summary

    if not as_json:
        sys.stdout.write(summary(file))
        return
    out = sys.stdout
    try:
        with redirect_stdout(sys.stderr):  # a program may print
            view = SiteCheckView(summary=summary(file))
    except UsageError as error:
        fault = SiteFaultView(message=str(error), where=error.evidence, next_action=error.next_action)
        view = SiteCheckView(fault=fault)
    out.write(to_json(view).decode() + "\n")
    raise typer.Exit(Exit.OK if view.fault is None else Exit.USAGE)
