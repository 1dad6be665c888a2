"""`innervate`: the verbs of the command line, the two other front-ends, and the two that are the appliance itself."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.app import build, run
from appliance.cli.context import client_of
from appliance.cli.exits import Exit


def main(arguments: Sequence[str] | None = None) -> int:
    app = build()
    app.command()(daemon)
    app.command()(check)
    app.command()(tui)
    app.command()(menu)
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


if __name__ == "__main__":
    sys.exit(main())
