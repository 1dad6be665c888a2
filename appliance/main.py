"""`innervate`: the verbs of the command line, the two other front-ends, and the two that are the appliance itself."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from appliance.backup import verbs as backup
from appliance.cli.app import build, run
from appliance.cli.context import client_of
from appliance.netbox import verbs as netbox


def main(arguments: Sequence[str] | None = None) -> int:
    app = build()
    app.command()(daemon)
    app.command()(check)
    app.command()(tui)
    app.command()(menu)
    app.add_typer(backup.build(), name="backup", help="Keep the appliance's memory in one sealed file.")
    app.add_typer(netbox.build(), name="netbox", help="Import from NetBox, and export to it, as diffs.")
    return run(app, arguments)


def daemon(config: Annotated[Path, typer.Option(help="The configuration, in TOML.")]) -> None:
    """Run the appliance in the foreground."""
    from appliance.daemon import main as daemon_main

    raise typer.Exit(daemon_main(config))


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


if __name__ == "__main__":
    sys.exit(main())
