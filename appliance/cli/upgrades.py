"""`innervate appliance`: the two slots of the appliance image, the way from one to the other, and the end of both."""

from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.context import Json, client_of, print_json
from appliance.cli.leaving import reset

Bundle = Annotated[Path, typer.Argument(metavar="FILE", help="The upgrade bundle.")]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    for verb in (status, upgrade, rollback, reset):
        group.command()(verb)
    app.add_typer(group, name="appliance", help="The appliance itself: upgrade it, go back, make it forget.")


def status(context: typer.Context, as_json: Json = False) -> None:
    """Show what is in the two slots, what goes on, and what came of the last trial."""
    from appliance.cli import show_upgrades as show

    view = client_of(context).appliance()
    print_json(view) if as_json else show.console().print(show.appliance(view))


def upgrade(context: typer.Context, file: Bundle, as_json: Json = False) -> None:
    """Send a bundle. It is written into the slot that does not run; the appliance restarts, and tries it once.

    Example: innervate appliance upgrade appliance.upgrade
    """
    from appliance.cli import show_upgrades as show

    view = client_of(context).upgrade(file)
    print_json(view) if as_json else show.console().print(show.begun(view))


def rollback(context: typer.Context, as_json: Json = False) -> None:
    """Restart into the version in the other slot, which has to prove healthy, too."""
    from appliance.cli import show_upgrades as show

    view = client_of(context).rollback()
    print_json(view) if as_json else show.console().print(show.begun(view))
