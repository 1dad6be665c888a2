"""The verbs that look at runs and steer them."""

from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.context import Json, Lines, client_of, print_json
from appliance.errors import NotFoundError, UsageError
from appliance.model.text import clean
from appliance.model.words import RunState

if TYPE_CHECKING:
    from appliance.client import Client
    from appliance.model.views import RunView

_LATEST = 20

Run = Annotated[str, typer.Argument(metavar="[RUN]", help="May be left out while only one is running.")]
RunAndMachine = Annotated[
    list[str], typer.Argument(metavar="[RUN] MACHINE", help="RUN may be left out while only one is running.")
]


def add_to(app: typer.Typer) -> None:
    for verb in (runs, goals, drop, pause, resume, cancel, set_aside, retry):
        app.command()(verb)


def runs(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help=f"Not only the latest {_LATEST}.")] = False,
    state: Annotated[RunState | None, typer.Option(help="Only those in this state.")] = None,
    as_json: Json = False,
    lines: Lines = False,
) -> None:
    """Show the runs, latest first; as JSON all of them."""
    import time

    from appliance.cli import show

    client = client_of(context)
    if lines:
        for page in client.run_pages(state):
            for run in page.runs:
                print_json(run)
        return
    view = client.runs(state)
    limit = len(view.runs) if every else _LATEST
    print_json(view) if as_json else show.console().print(show.runs(view, time.time(), limit))


def goals(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    as_json: Json = False,
) -> None:
    """Show what the daemon goes on with by itself, and which plans wait for approval."""
    import time

    from appliance.cli import show

    view = client_of(context).goals(every=every)
    print_json(view) if as_json else show.console().print(show.goals(view, time.time()))


def drop(context: typer.Context, goal: Annotated[str, typer.Argument(metavar="GOAL")], as_json: Json = False) -> None:
    """Let the daemon plan nothing more for a goal. A run of it that goes on is left alone."""
    view = client_of(context).drop(goal)
    print_json(view) if as_json else print(f"goal {clean(view.id, 64)} is dropped; `innervate plan` shows what is left")


def pause(
    context: typer.Context,
    run: Run = "",
    reason: Annotated[str, typer.Option(help="Why; shown to everyone.")] = "an operator paused it",
    as_json: Json = False,
) -> None:
    """Let no machine of a run begin a step. Steps under way go on to their end."""
    client = client_of(context)
    view = client.pause(_named(client, run), reason)
    _tell(view, f"is paused: {clean(view.paused, 1000)}; `innervate resume {view.id}` lets it go on", as_json=as_json)


def resume(context: typer.Context, run: Run = "", as_json: Json = False) -> None:
    """Let a paused run go on."""
    client = client_of(context)
    view = client.resume(_named(client, run))
    _tell(view, "goes on; `innervate status` shows it", as_json=as_json)


def cancel(context: typer.Context, run: Run = "", as_json: Json = False) -> None:
    """End a run where it stands. Its machines are left as they are."""
    client = client_of(context)
    view = client.cancel(_named(client, run))
    _tell(view, "is cancelled; `innervate plan` shows what is left to do", as_json=as_json)


def set_aside(
    context: typer.Context,
    names: RunAndMachine,
    reason: Annotated[str, typer.Option(help="Why; shown to everyone.")],
    as_json: Json = False,
) -> None:
    """Take one machine out of a run; the others go on."""
    client = client_of(context)
    run, machine = _both(client, names)
    view = client.set_aside(run, machine, reason)
    _tell(view, f"goes on without {machine}; `innervate retry {run} {machine}` takes it in again", as_json=as_json)


def retry(context: typer.Context, names: RunAndMachine, as_json: Json = False) -> None:
    """Try again what failed on a machine, or take it in again."""
    client = client_of(context)
    run, machine = _both(client, names)
    view = client.retry(run, machine)
    _tell(view, f"tries {machine} again; `innervate status {machine}` shows it", as_json=as_json)


def _both(client: "Client", names: list[str]) -> tuple[str, str]:
    match names:
        case [machine]:
            return _named(client, ""), machine
        case [run, machine]:
            return run, machine
        case _:
            raise UsageError("one machine at a time", next_action="name a run and a machine, or only a machine")


def _named(client: "Client", run: str) -> str:
    """The run that was named, or else the only one that is running."""
    if run:
        return run
    running = [one.id for one in client.runs().runs if one.state is RunState.RUNNING]
    if len(running) > 1:
        raise UsageError("more than one run is running", evidence=", ".join(running), next_action="name one of them")
    if not running:
        raise NotFoundError("no run is running", next_action="those that ended: innervate runs")
    return running[0]


def _tell(view: "RunView", what: str, *, as_json: bool) -> None:
    print_json(view) if as_json else print(f"run {clean(view.id, 64)} {what}")
