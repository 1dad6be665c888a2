"""The verbs that show one thing whole: the rack as it stands, a machine, a run."""

from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.context import Json, Machine, client_of, print_json
from appliance.cli.look import Words, wanted_of

Run = Annotated[str, typer.Argument(metavar="RUN")]


def add_to(app: typer.Typer) -> None:
    for verb in (rack, machine, screen, run):
        app.command()(verb)


def rack(context: typer.Context, words: Words = None, as_json: Json = False) -> None:
    """Show which machine stands where, and how it is, from the top unit down.

    Example: innervate rack rack:r12
    """
    from appliance.cli import show, show_racks

    view = client_of(context).machines(wanted_of(words))
    print_json(view) if as_json else show.console().print(show_racks.racks(view))


def machine(context: typer.Context, machine: Machine, as_json: Json = False) -> None:
    """Show all that is known of one machine."""
    import time

    from appliance.cli import show

    view = client_of(context).machine(machine)
    print_json(view) if as_json else show.console().print(show.machine(view, time.time()))


def screen(
    context: typer.Context, machine: Machine, file: Annotated[Path, typer.Argument(metavar="FILE", help="A PNG.")]
) -> None:
    """Keep a picture of what a machine's screen shows now, where its BMC gives one.

    Example: innervate screen node-0 node-0.png
    """
    from appliance.cli.report import OURS, kept

    data = client_of(context).screen(machine)
    kept(file, data, OURS)
    print(f"{file}: {len(data)} bytes; whatever was on the screen is in it")


def run(context: typer.Context, run: Run, as_json: Json = False) -> None:
    """Show one run: each step of each machine, when it began and how long it took."""
    import time

    from appliance.cli import show, show_racks

    view = client_of(context).run(run)
    print_json(view) if as_json else show.console().print(show_racks.run(view, time.time()))
