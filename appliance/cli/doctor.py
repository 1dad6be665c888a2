"""`innervate doctor`, and what it finds before a plan."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.context import Json, client_of, print_json
from appliance.cli.exits import Exit

if TYPE_CHECKING:
    from rich.text import Text

    from appliance.client import Client
    from appliance.model.doctor import Check, DoctorView, Finding
    from appliance.model.views import PlanView

_WAIT_SECONDS = 120.0

Despite = Annotated[
    bool, typer.Option("--despite-findings", help="Begin although the doctor found a failure of the site.")
]


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    context: typer.Context,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for every check, and for what switches say twice a minute.")
    ] = False,
    last: Annotated[bool, typer.Option("--last", help="Show what the last examination found.")] = False,
    as_json: Json = False,
) -> None:
    """Look for what keeps machines from booting: network, clock, disks, images, BMCs.

    Example: innervate doctor --wait --json | jq '.findings[] | select(.verdict == "failure")'
    """
    import time

    from appliance.cli import show
    from appliance.frontend.preflight import PATIENCE, followed, verdict
    from appliance.model.doctor import DoctorRequest

    client = client_of(context)
    shown = _Shown(of=lambda view: () if as_json else view.findings)
    view = client.doctor() if last else client.start_doctor(DoctorRequest(patient=wait))
    shown.update(view)
    view = followed(client, view, time.monotonic, _WAIT_SECONDS if wait else PATIENCE, shown.update)
    if as_json:
        print_json(view)
    else:
        show.console().print(verdict(view))
    raise typer.Exit(of_view(view))


def of_view(view: "DoctorView") -> Exit:
    """Partial where what failed stands in the way of some machines only."""
    from appliance.frontend.preflight import blocking
    from appliance.model.doctor import Verdict

    if blocking(view):
        return Exit.FAILURE
    return Exit.PARTIAL if any(one.verdict is Verdict.FAILURE for one in view.findings) else Exit.OK


def known(*, despite: bool) -> "tuple[Check, ...]":
    """Whoever says so beforehand accepts whatever is found."""
    from appliance.model.doctor import Check

    return tuple(Check) if despite else ()


class Preflight:
    """Begun before the plan is made, read when it is shown; once for each command."""

    def __init__(self, client: "Client") -> None:
        from appliance.errors import InnervateError
        from appliance.model.doctor import DoctorView

        self._client, self._trouble = client, ""
        try:
            self._view = client.start_doctor()
        except InnervateError as error:  # a plan is worth more than its preflight
            self._view, self._trouble = DoctorView(), str(error)

    def shown(self, plan: "PlanView", *, stderr: bool) -> "DoctorView":
        """Waits a little, and prints what matters for this plan as it comes."""
        import time

        from appliance.cli import show
        from appliance.frontend.preflight import PATIENCE, followed, matters

        if self._trouble:
            show.console(stderr=stderr).print(f"the doctor could not be asked: {self._trouble}")
        shown = _Shown(stderr=stderr, of=lambda view: matters(view, plan))
        shown.update(self._view)
        self._view = followed(self._client, self._view, time.monotonic, PATIENCE, shown.update)
        return self._view


class _Shown:
    """Each finding once, as it comes."""

    def __init__(
        self,
        *,
        stderr: bool = False,
        of: "Callable[[DoctorView], Iterable[Finding]]" = lambda view: view.findings,
    ) -> None:
        self._stderr, self._of = stderr, of
        self._known: set[Finding] = set()

    def update(self, view: "DoctorView") -> None:
        from appliance.cli import show

        for finding in self._of(view):
            if finding not in self._known:
                self._known.add(finding)
                for line in lines(finding):
                    show.console(stderr=self._stderr).print(line)
        sys.stdout.flush()


def lines(finding: "Finding") -> "Iterator[Text]":
    from rich.text import Text

    from appliance.frontend.preflight import told
    from appliance.model.doctor import Verdict

    styles = {Verdict.FAILURE: "bold red", Verdict.WARNING: "bold yellow", Verdict.UNKNOWN: "dim", Verdict.OK: "green"}
    first, *rest = told(finding)
    yield Text(first, style=styles[finding.verdict])
    yield from map(Text, rest)
