"""What every verb that starts runs shares: a question, a run followed to its end, and what came of it."""

import sys
from typing import TYPE_CHECKING, NoReturn

import typer

from appliance.cli.context import print_json
from appliance.cli.exits import of_outcome
from appliance.model.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.client import Client
    from appliance.frontend.provision import Outcome, Person
    from appliance.model.doctor import Check
    from appliance.model.goal import Consent
    from appliance.model.views import MachinesView, PlanView, RunView

_PAUSE_SECONDS = 0.5


def ask(question: str) -> str:
    """On standard error: standard output may be read by a program."""
    print(question, end="", file=sys.stderr, flush=True)
    return input()


def follow(client: "Client", run: "RunView") -> "RunView":
    import time

    from appliance.cli import show
    from appliance.cli.progress import display
    from appliance.frontend.provision import follow_run

    messages = show.console(stderr=True)
    try:
        with display(messages) as shown:
            run = follow_run(client, run, shown, time.time, lambda: time.sleep(_PAUSE_SECONDS))
    except KeyboardInterrupt:
        messages.print("The run goes on in the daemon; `innervate status` shows it.")
        raise
    for line in show.run(run):
        messages.print(line)
    return run


def person(
    client: "Client", approve: "Callable[[PlanView], tuple[Check, ...]]", then: "Consent", *, as_json: bool
) -> "Person":
    import time

    from appliance.cli import show
    from appliance.frontend.provision import Person

    return Person(
        approve=approve,
        told=lambda plan: show.console(stderr=as_json).print(show.plan(plan)),
        follow=lambda run: follow(client, run),
        pause=lambda: time.sleep(_PAUSE_SECONDS),
        now=time.time,
        then=then,
    )


def finish(outcome: "Outcome", machines: "MachinesView", *, as_json: bool) -> NoReturn:
    """With `as_json` the outcome is all that standard output gets."""
    from appliance.cli.progress import summary
    from appliance.cli.show import console

    out = console(stderr=as_json)
    out.print(summary(machines))
    for deferred in outcome.deferred:
        out.print(f"still waiting  {clean(deferred.score, 63)}: {clean(deferred.reason, 300)}")
    for lack in outcome.missing:
        out.print(f"note  {clean(lack, 1000)}")
    if as_json:
        print_json(outcome)
    raise typer.Exit(of_outcome(outcome))
