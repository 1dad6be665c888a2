"""The verbs that only look: how machines stand, why, and what happened."""

from collections.abc import Iterable, Iterator, Sequence, Set
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.complete import a_filter, a_machine
from appliance.cli.context import Json, Lines, Machine, client_of, print_json
from appliance.errors import UsageError

if TYPE_CHECKING:
    from appliance.client import Client
    from appliance.model.views import EventView, MachinesView, MachineView

_WAIT_SECONDS = 25.0
_PAGE = 1000

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILTER]...",
        help="Such as state:failed role:worker mac:b8:ce*, or a machine's name.",
        autocompletion=a_filter,
    ),
]


def add_to(app: typer.Typer) -> None:
    for verb in (status, machines, explain, events, metrics):
        app.command()(verb)


def status(context: typer.Context, words: Words = None, as_json: Json = False, lines: Lines = False) -> None:
    """Show where machines stand: all, those that fit a filter, or all that is known of one.

    Example: innervate status state:failed,stuck role:worker
    """
    import time

    from rich.console import Group

    from appliance.cli import show
    from appliance.model.views import MachineView

    client, wanted = client_of(context), wanted_of(words)
    if lines:
        _print_lines(client, wanted)
        return
    view = _one_or_many(client, wanted)
    if as_json:
        print_json(view)
        return
    now = time.time()
    shown = show.machine(view, now) if isinstance(view, MachineView) else show.machines(view, now)
    show.console().print(Group(shown, *show.paused(client.runs()), *show.approvals(client.goals())))


def machines(
    context: typer.Context,
    words: Words = None,
    count: Annotated[bool, typer.Option("--count", help="Only how many there are in each state.")] = False,
    table: Annotated[bool, typer.Option("--csv", help="Comma-separated values, for a spreadsheet.")] = False,
    as_json: Json = False,
    lines: Lines = False,
) -> None:
    """Show what machines are: addresses, BMCs, serial numbers, hardware.

    Example: innervate machines --ndjson role:worker | jq -r .address
    """
    from appliance.cli import show

    client, wanted = client_of(context), wanted_of(words)
    if lines:
        _print_lines(client, wanted)
    elif table:
        from appliance.frontend.tables import csv_of

        print(csv_of(client.machines(wanted).machines), end="")
    elif count:
        counts = client.summary(wanted)
        print_json(counts) if as_json else show.console().print(show.counts(counts))
    else:
        view = client.machines(wanted)
        print_json(view) if as_json else show.console().print(show.hardware(view))


def explain(context: typer.Context, machine: Machine, as_json: Json = False) -> None:
    """Say why a machine is where it is, and what happens next."""
    from appliance.cli import show

    view = client_of(context).explain(machine)
    print_json(view) if as_json else show.console().print(show.explanation(view))


def events(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Then wait for more.")] = False,
    machine: Annotated[str, typer.Option(help="Only this machine's.", autocompletion=a_machine)] = "",
    wanted: Annotated[
        str, typer.Option("--filter", metavar="FILTER", help="Only of machines that fit it when the verb begins.")
    ] = "",
    kind: Annotated[str, typer.Option(metavar="KINDS", help="Only these, such as step-*,run-ended.")] = "",
    after: Annotated[int, typer.Option(min=0, help="Only those with a greater number.")] = 0,
    last: Annotated[int, typer.Option(min=0, help="Only the latest so many.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", "--ndjson", help="One JSON object a line.")] = False,
) -> None:
    """Show what happened, oldest first."""
    from appliance.cli import show

    if last and after:
        raise UsageError("--last and --after do not go together", next_action="say one of them")
    client = client_of(context)
    names = {view.name for view in client.machines(wanted).machines} if wanted else None

    def tell(events: "Iterable[EventView]") -> None:
        for event in events:
            print_json(event) if as_json else print(show.event(event), flush=True)

    if last:
        found, after = _latest(client, last, machine, kind, names)
        tell(reversed(found))
        if not follow:
            return
    while True:
        wait = _WAIT_SECONDS if follow else 0
        page = client.events(after=after, machine=machine, limit=_PAGE, wait=wait, kind=kind)
        tell(event for event in page.events if names is None or event.machine in names)
        if not page.events and not follow:
            return
        after = page.last


def _latest(
    client: "Client", count: int, machine: str, kind: str, names: "Set[str] | None"
) -> "tuple[Sequence[EventView], int]":
    """The latest first, and the number after which the next ones come."""
    page = client.latest_events(machine=machine, limit=min(count, _PAGE), kind=kind)
    found: list[EventView] = []
    after = page.last
    while page.events:
        found.extend(event for event in page.events if names is None or event.machine in names)
        if len(found) >= count:
            break
        page = client.latest_events(before=page.events[-1].seq, machine=machine, limit=_PAGE, kind=kind)
    return found[:count], after


def metrics(context: typer.Context) -> None:
    """Print what monitoring scrapes, in OpenMetrics.

    Example: innervate metrics > /var/lib/node_exporter/innervate.prom
    """
    print(client_of(context).metrics(), end="")


def wanted_of(words: Sequence[str] | None) -> str:
    """Read here first: a filter that makes no sense is refused without a daemon."""
    from appliance.model.filter import joined

    return str(joined(words or ()))


def _one_or_many(client: "Client", wanted: str) -> "MachineView | MachinesView":
    """One bare word that is a machine's whole name is that machine; one that fits none is not there."""
    from appliance.errors import NotFoundError
    from appliance.model.filter import parse

    terms = parse(wanted).terms
    if len(terms) != 1 or terms[0].name is None:
        return client.machines(wanted)
    try:
        return client.machine(terms[0].name)
    except NotFoundError:
        if (view := client.machines(wanted)).machines:
            return view
        raise


def _print_lines(client: "Client", wanted: str) -> None:
    for machine in _all(client, wanted):
        print_json(machine)


def _all(client: "Client", wanted: str) -> "Iterator[MachineView]":
    for page in client.machine_pages(wanted):
        yield from page.machines
