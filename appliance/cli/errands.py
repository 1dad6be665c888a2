"""The verbs that want something of one machine, or the end of all: planned, shown, confirmed by name, done."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.context import Json, Machine, client_of, print_json
from appliance.cli.doctor import Despite, known
from appliance.cli.follow import ask, finish, person
from appliance.errors import RefusedError
from appliance.frontend.errands import SAYS, is_harmless, outcome_of
from appliance.model.words import Errand

if TYPE_CHECKING:
    from appliance.client import Client
    from appliance.model.doctor import Check
    from appliance.model.views import PlanView

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask where nothing can be lost.")]
Confirm = Annotated[str, typer.Option(metavar="MACHINE", help="The machine's name once more, instead of typing it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan, and end.")]

_VERBS = (Errand.REINSTALL, Errand.RESCUE, Errand.DECOMMISSION, Errand.REPLACE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What the command line said beforehand. `typed` is the name of the machine (of the site for the end of all), or
    empty; `despite` that it begins whatever the doctor found."""

    kind: str
    name: str
    errand: Errand
    yes: bool
    typed: str
    despite: bool

    def covers(self, plan: "PlanView") -> bool:
        return self.typed == self.name or (self.yes and is_harmless(self.errand, plan))


def add_to(app: typer.Typer) -> None:
    for errand in _VERBS:
        app.command(errand.value, help=SAYS[errand])(_verb(errand))
    app.command()(wipe)
    app.command()(retire)


def wipe(
    context: typer.Context,
    machine: Machine,
    erase: Annotated[bool, typer.Option("--erase", help="Overwrite every byte; this can take hours.")] = False,
    yes: Yes = False,
    confirm: Confirm = "",
    dry_run: DryRun = False,
    despite: Despite = False,
    as_json: Json = False,
) -> None:
    """Let a machine's disks forget what they hold."""
    errand = Errand.ERASE if erase else Errand.WIPE
    consent = Consent(kind="machine", name=machine, errand=errand, yes=yes, typed=confirm, despite=despite)
    _run_errand(context, consent, dry_run=dry_run, as_json=as_json)


def retire(
    context: typer.Context,
    confirm: Annotated[str, typer.Option(metavar="SITE", help="The site's name, instead of typing it.")] = "",
    dry_run: DryRun = False,
    despite: Despite = False,
    as_json: Json = False,
) -> None:
    """Give the whole site back: clusters end, every byte of every disk is erased, machines are off and forgotten.

    Example: innervate retire --dry-run
    """
    client = client_of(context)
    site = client.health().site
    consent = Consent(kind="site", name=site, errand=Errand.DECOMMISSION, yes=False, typed=confirm, despite=despite)
    _run(client, consent, client.plan_retirement, dry_run=dry_run, as_json=as_json)


def _verb(errand: Errand) -> Callable[..., None]:
    def verb(
        context: typer.Context,
        machine: Machine,
        yes: Yes = False,
        confirm: Confirm = "",
        dry_run: DryRun = False,
        despite: Despite = False,
        as_json: Json = False,
    ) -> None:
        consent = Consent(kind="machine", name=machine, errand=errand, yes=yes, typed=confirm, despite=despite)
        _run_errand(context, consent, dry_run=dry_run, as_json=as_json)

    return verb


def _run_errand(context: typer.Context, consent: Consent, *, dry_run: bool, as_json: bool) -> None:
    client = client_of(context)
    _run(client, consent, lambda: client.plan_errand(consent.name, consent.errand), dry_run=dry_run, as_json=as_json)


def _run(
    client: "Client", consent: Consent, make_plan: "Callable[[], PlanView]", *, dry_run: bool, as_json: bool
) -> None:
    from appliance.cli import show
    from appliance.frontend.provision import carry_out
    from appliance.model.goal import ASK, EVERYTHING
    from appliance.model.views import MachinesView

    _refuse_another_name(consent)

    def approve(plan: "PlanView") -> "tuple[Check, ...]":
        show.console(stderr=as_json).print(show.plan(plan))
        _approve(plan, consent)
        return known(despite=consent.despite)

    if dry_run:
        plan = make_plan()
        print_json(plan) if as_json else show.console().print(show.plan(plan))
        return
    then = EVERYTHING if consent.typed == consent.name else ASK
    somebody = person(client, approve, then, as_json=as_json)
    outcome = outcome_of(consent.errand, carry_out(client, make_plan, somebody))
    touched = {consent.name, *(step.machine for run in outcome.runs for step in run.steps)}
    machines = (machine for machine in client.machines().machines if machine.name in touched)
    finish(outcome, MachinesView(machines=tuple(machines)), as_json=as_json)


def _refuse_another_name(consent: Consent) -> None:
    if consent.typed not in ("", consent.name):
        raise RefusedError(
            f"nothing is done: --confirm names another {consent.kind} than {consent.name}",
            evidence=f"--confirm {consent.typed}",
            next_action="give the same name twice",
        )


def _approve(plan: "PlanView", consent: Consent) -> None:
    from appliance.frontend.provision import confirm

    if consent.covers(plan):
        return
    if not sys.stdin.isatty():
        raise RefusedError(
            "not applied: there is no terminal to confirm the plan on",
            next_action=f"read the plan, then give the same command with --confirm {consent.name}",
        )
    confirm(consent.kind, consent.name, ask)
