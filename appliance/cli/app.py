"""The command line. Each verb imports what it needs when it runs: `innervate --help` stays quick."""

import sys
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer
from typer._completion_classes import completion_init

from appliance.cli import (
    access,
    bmc,
    clusters,
    doctor,
    errands,
    inventory,
    look,
    manual,
    rack,
    report,
    runs,
    sets,
    site,
    stores,
    upgrades,
)
from appliance.cli.context import Json, Machine, arguments_of, client_of, print_json, settings
from appliance.cli.exits import of_error, of_run
from appliance.cli.follow import ask, finish, follow, person
from appliance.cli.help import command_of, help_of
from appliance.errors import InnervateError, RefusedError, UsageError
from appliance.model.words import Destroys, PowerAction

if TYPE_CHECKING:
    from appliance.model.doctor import Check
    from appliance.model.views import PlanView

_DESTROY = "What plans that follow may destroy without asking again; anything asked for, with --yes."
_CODE_DIGITS = 6
_DISK = "A disk, by serial number or WWN, that they may write whatever it holds; can be given again."


def build() -> typer.Typer:
    completion_init()
    app = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(settings)
    for verb in (plan, apply):
        app.command()(verb)
    look.add_to(app)
    rack.add_to(app)
    report.add_to(app)
    doctor.add_to(app)
    runs.add_to(app)
    stores.add_to(app)
    errands.add_to(app)
    inventory.add_to(app)
    for other in (power, ssh, hold, release, confirm, take_over, console, completion):
        app.command()(other)
    app.add_typer(bmc.build(), name="bmc", help="Find BMCs, and keep the vault that opens them.")
    access.add_to(app)
    manual.add_to(app)
    site.add_to(app)
    upgrades.add_to(app)
    sets.add_to(app)
    clusters.add_to(app)
    app.command(hidden=True)(tunnel)
    return app


def run(app: typer.Typer, arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status; the only place that prints an error."""
    if (text := help_of(app, sys.argv[1:] if arguments is None else arguments)) is not None:
        print(text)
        return 0
    try:
        command_of(app)(args=arguments, prog_name="innervate")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except InnervateError as error:
        from appliance.frontend.words import told

        print(f"{told(error)}\n  more: innervate error {error.code}", file=sys.stderr)
        return of_error(error)
    return 0


def plan(context: typer.Context, as_json: Json = False) -> None:
    """Show what would be done, and to which disks; change nothing."""
    from rich.console import Group

    from appliance.cli import show

    client = client_of(context)
    if as_json:
        print_json(client.make_plan())
        return
    preflight = doctor.Preflight(client)
    view = client.make_plan()
    show.console().print(Group(show.plan(view), *show.approvals(client.goals())))
    preflight.shown(view, stderr=False)


def apply(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; every plan is applied as made.")] = False,
    digest: Annotated[str, typer.Option(help="Apply the plan with this digest and no other.")] = "",
    despite: doctor.Despite = False,
    destroy: Annotated[Destroys, typer.Option(help=_DESTROY)] = Destroys.NOTHING,
    disk: Annotated[list[str] | None, typer.Option(metavar="SERIAL", help=_DISK)] = None,
    as_json: Json = False,
) -> None:
    """Plan, show, ask, do, and follow until every machine is done.

    The daemon goes on by itself, also when this ends: `innervate goals` shows what it waits for.
    """
    from appliance.frontend.provision import apply_exactly, provision
    from appliance.model.goal import EVERYTHING, Consent

    client = client_of(context)
    preflight = doctor.Preflight(client)

    def approve(view: "PlanView") -> "tuple[Check, ...]":
        return _approve(view, preflight, asked=not yes, despite=despite, as_json=as_json)

    then = EVERYTHING if yes else Consent(destroys=destroy, disks=tuple(disk or ()))
    somebody = person(client, approve, then, as_json=as_json)
    outcome = apply_exactly(client, digest, somebody) if digest else provision(client, somebody)
    finish(outcome, client.machines(), as_json=as_json)


def power(context: typer.Context, machine: Machine, action: PowerAction, as_json: Json = False) -> None:
    """Switch a machine on or off; off asks its system to stop, force-off and cycle do not."""
    client = client_of(context)
    run = follow(client, client.power(machine, action))
    if as_json:
        print_json(run)
    raise typer.Exit(of_run(run))


def ssh(
    context: typer.Context,
    machine: Machine,
    command: Annotated[list[str] | None, typer.Argument(metavar="[-- COMMAND...]")] = None,
) -> None:
    """Enter an installed machine, or run a command there."""
    import os

    from appliance.cli import ssh as openssh

    shell = client_of(context).shell(machine)
    known_hosts = openssh.state_dir(os.environ) / f"known_hosts.{shell.machine}"
    openssh.write_known_hosts(known_hosts, shell)
    proxy = (sys.executable, "-m", "appliance.main", *arguments_of(context), "tunnel", shell.machine)
    argv = openssh.argv(shell, known_hosts=known_hosts, proxy=proxy, command=command or ())
    os.execvp(argv[0], argv)  # noqa: S606  argv list; ssh takes over this terminal


def hold(
    context: typer.Context,
    machine: Machine,
    reason: Annotated[str, typer.Option(help="Why; shown to everyone.")],
    as_json: Json = False,
) -> None:
    """Let nothing touch a machine until it is released."""
    view = client_of(context).hold(machine, reason)
    print_json(view) if as_json else print(f"{machine} is held; `innervate release {machine}` ends it")


def release(context: typer.Context, machine: Machine, as_json: Json = False) -> None:
    """End the hold on a machine."""
    view = client_of(context).release(machine)
    print_json(view) if as_json else print(f"{machine} is released")


def confirm(
    context: typer.Context,
    machine: Machine,
    code: Annotated[str, typer.Argument(metavar="CODE", help="The six digits on the machine's own console.")],
    as_json: Json = False,
) -> None:
    """Say that you have read this code on a machine's console: it is the one that the appliance speaks with.

    Example: innervate confirm node-0 123456
    """
    digits = "".join(code.split())
    if not (len(digits) == _CODE_DIGITS and digits.isascii() and digits.isdigit()):
        raise UsageError("a code has six digits", next_action=f"read it on the console of {machine}")
    view = client_of(context).confirm(machine, digits)
    print_json(view) if as_json else print(f"{machine} is confirmed: it gets what is its own")


def take_over(context: typer.Context, as_json: Json = False) -> None:
    """Ask the boot network again who serves DHCP, and serve it if nobody else does."""
    view = client_of(context).take_over()
    print_json(view) if as_json else print("asked; `innervate status` shows what came of it")


def console(
    context: typer.Context,
    machine: Machine,
    log: Annotated[bool, typer.Option("--log", help="Print what was recorded, and end.")] = False,
) -> None:
    """Join the terminal to a machine's serial console. Enter, then ~. leaves it."""
    from appliance.cli import console as terminal

    if log:
        sys.stdout.buffer.write(client_of(context).recorded(machine))
    else:
        terminal.run(client_of(context), machine, sys.stdin.buffer, sys.stdout.buffer)


class Shell(Enum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish")]) -> None:
    """Print what makes a shell complete verbs, options and the names of machines.

    Example: innervate completion bash > /etc/bash_completion.d/innervate
    """
    from typer._completion_shared import get_completion_script

    print(get_completion_script(prog_name="innervate", complete_var="_INNERVATE_COMPLETE", shell=shell.value))


def tunnel(context: typer.Context, machine: Machine) -> None:
    """Join standard input and output to a machine's SSH port."""
    from appliance.cli import tunnel as relay

    relay.run(client_of(context), machine, sys.stdin.buffer, sys.stdout.buffer)


def _approve(
    view: "PlanView", preflight: doctor.Preflight, *, asked: bool, despite: bool, as_json: bool
) -> "tuple[Check, ...]":
    """Whose failures stop nothing. Without a question the daemon refuses what they stand in the way of."""
    from appliance.cli import show
    from appliance.frontend.preflight import accepted, blocking, demand, in_the_way
    from appliance.frontend.provision import confirm

    show.console(stderr=as_json).print(show.plan(view))
    found = preflight.shown(view, stderr=as_json)
    known = doctor.known(despite=despite)
    if not asked:
        return known
    if not sys.stdin.isatty():
        raise RefusedError(
            "not applied: there is no terminal to confirm the plan on",
            next_action=f"read the plan, then: innervate apply --digest {view.digest} --yes",
        )
    if despite or not (standing := blocking(found)):
        confirm("site", view.site, ask)
        return known
    print(in_the_way(standing), file=sys.stderr)
    confirm("site", demand(view.site, found), ask)
    return accepted(found)
