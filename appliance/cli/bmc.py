"""`innervate bmc`: finds BMCs, and keeps the vault that opens them."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.context import Json, client_of, print_json
from appliance.cli.exits import Exit
from appliance.errors import RefusedError, UsageError
from appliance.model.text import clean

if TYPE_CHECKING:
    from appliance.client import Client
    from appliance.model.bmc_views import BmcsView, BmcView, VaultScope, VaultView

_PAUSE_SECONDS = 0.5

Url = Annotated[str, typer.Argument(metavar="URL", help="https://ADDRESS[:PORT] or ipmi://ADDRESS[:PORT]")]
Mac = Annotated[str, typer.Option(help="For the BMC with this hardware address.")]
Serial = Annotated[str, typer.Option(help="For the BMC with this serial number in your list.")]
Make = Annotated[str, typer.Option(help="For the BMCs of this maker.")]
Site = Annotated[bool, typer.Option("--site", help="For every BMC.")]
Factory = Annotated[str, typer.Option(help="For the BMCs of this maker; everybody knows the password.")]
User = Annotated[str, typer.Argument(metavar="USER")]


def build() -> typer.Typer:
    app, entries = (typer.Typer(no_args_is_help=True, rich_markup_mode=None) for _ in range(2))
    for verb in (find, rotate, forgive, forget):
        app.command()(verb)
    for entry_verb in (add, remove, defaults):
        entries.command()(entry_verb)
    entries.command("list")(show)
    app.add_typer(entries, name="vault", help="The log-ins that are tried on BMCs.")
    return app


def find(
    context: typer.Context,
    targets: Annotated[list[str] | None, typer.Argument(metavar="[NETWORK|ADDRESS|URL]...")] = None,
    listed: Annotated[Path | None, typer.Option("--list", help="A file with a BMC a line.")] = None,
    ours: Annotated[list[str] | None, typer.Option("--from", help="Search from this address of ours.")] = None,
    login: Annotated[bool, typer.Option("--login", help="Log in with what the vault knows.")] = False,
    last: Annotated[bool, typer.Option("--last", help="Show what the last search found.")] = False,
    as_json: Json = False,
) -> None:
    """Look for BMCs: on the boot network, or where you say."""
    from appliance.model.bmc_views import BmcSearchRequest, LoginState

    client = client_of(context)
    if not last:
        stated = _read(listed) if listed else ""
        client.search_bmcs(
            BmcSearchRequest(targets=tuple(targets or ()), stated=stated, ours=tuple(ours or ()), login=login)
        )
    view = _awaited(client)
    print_json(view) if as_json else print("\n".join(_found(view)))
    if view.problem:
        raise typer.Exit(Exit.FAILURE)
    if any(bmc.login is LoginState.FAILED for bmc in view.bmcs):
        raise typer.Exit(Exit.PARTIAL if any(bmc.login is LoginState.WORKS for bmc in view.bmcs) else Exit.FAILURE)


def rotate(context: typer.Context, url: Url, as_json: Json = False) -> None:
    """Give a BMC a password of its own; the vault keeps it."""
    view = client_of(context).rotate_bmc(url)
    print_json(view) if as_json else print(f"{url} has a password of its own, and a log-in has proven it")


def forgive(context: typer.Context, url: Url, as_json: Json = False) -> None:
    """Let a BMC be tried again at once; its certificate, as found last, is right."""
    _print_one(client_of(context).forgive_bmc(url), as_json=as_json)


def forget(context: typer.Context, url: Url, as_json: Json = False) -> None:
    """Drop what was learnt of a BMC, a password that only the vault knows included."""
    _print_one(client_of(context).forget_bmc(url), as_json=as_json)


def add(
    context: typer.Context,
    user: User,
    mac: Mac = "",
    serial: Serial = "",
    make: Make = "",
    site: Site = False,
    factory: Factory = "",
    priority: Annotated[int, typer.Option(help="Of two that fit as closely, the higher is tried first.")] = 0,
    from_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read it from standard input.")] = False,
    as_json: Json = False,
) -> None:
    """Add a log-in; the password is asked for, or read from standard input."""
    from appliance.model.bmc_views import VaultEntryRequest

    scope, value = _scope(mac, serial, make, factory, site=site)
    client, password = client_of(context), _password(user, from_stdin=from_stdin)
    entry = VaultEntryRequest(scope=scope, value=value, user=user, password=password, priority=priority)
    _print_vault(client.add_to_vault(entry), as_json=as_json)


def remove(
    context: typer.Context,
    user: User,
    mac: Mac = "",
    serial: Serial = "",
    make: Make = "",
    site: Site = False,
    factory: Factory = "",
    as_json: Json = False,
) -> None:
    """Remove a log-in that you added."""
    scope, value = _scope(mac, serial, make, factory, site=site)
    _print_vault(client_of(context).remove_from_vault(scope, value, user), as_json=as_json)


def show(context: typer.Context, as_json: Json = False) -> None:
    """Show the log-ins, without passwords."""
    _print_vault(client_of(context).vault(), as_json=as_json)


def defaults(context: typer.Context, as_json: Json = False) -> None:
    """Add the passwords that makers print into their manuals."""
    _print_vault(client_of(context).add_factory_defaults(), as_json=as_json)


def _awaited(client: "Client") -> "BmcsView":
    import time

    while (view := client.bmcs()).searching:
        time.sleep(_PAUSE_SECONDS)
    return view


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {file}", evidence=str(error), next_action="name a text file") from error


def _scope(mac: str, serial: str, make: str, factory: str, *, site: bool) -> "tuple[VaultScope, str]":
    from appliance.model.bmc_views import VaultScope

    said = {VaultScope.MAC: mac, VaultScope.SERIAL: serial, VaultScope.MAKE: make, VaultScope.FACTORY: factory}
    chosen = [(scope, value) for scope, value in said.items() if value] + ([(VaultScope.SITE, "")] if site else [])
    if len(chosen) != 1:
        raise UsageError(
            "one log-in is for one kind of BMC", next_action="give one of --mac, --serial, --make, --site, --factory"
        )
    return chosen[0]


def _password(user: str, *, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise RefusedError(
            "there is no terminal to ask for the password on", next_action="give it on standard input: --password-stdin"
        )
    from getpass import getpass

    return getpass(f"Password of {user}: ")


def _found(view: "BmcsView") -> Iterator[str]:
    for bmc in view.bmcs:
        yield from _lines(bmc)
    if view.problem:
        yield from _problem("the search ended early: ", view.problem, view.evidence, view.next_action)
    elif not view.bmcs:
        yield "no BMC was found"


def _lines(bmc: "BmcView") -> Iterator[str]:
    from appliance.model.bmc_views import LoginState

    facts = (clean(fact, 80) for fact in (bmc.make, bmc.product, bmc.serial, bmc.mac) if fact)
    yield "  ".join((bmc.url, clean(bmc.machine, 63) or "(new)", *facts))
    if bmc.fingerprint:
        yield f"  certificate SHA-256 {bmc.fingerprint}"
    match bmc.login:
        case LoginState.WORKS:
            change = f"; everybody knows the password: innervate bmc rotate {bmc.url}" if bmc.must_change else ""
            yield f"  entered as {clean(bmc.user, 60)}{change}"
        case LoginState.FAILED:
            yield from _problem("  ", bmc.problem, bmc.evidence, bmc.next_action)
        case LoginState.UNTRIED:
            return


def _problem(head: str, problem: str, evidence: str, next_action: str) -> Iterator[str]:
    yield f"{head}{clean(problem, 1000)}"
    if evidence:
        yield f"    seen: {clean(evidence, 2000)}"
    if next_action:
        yield f"    next: {clean(next_action, 1000)}"


def _print_one(bmc: "BmcView", *, as_json: bool) -> None:
    print_json(bmc) if as_json else print("\n".join(_lines(bmc)))


def _print_vault(view: "VaultView", *, as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    for entry in view.entries:
        which = f"{entry.scope.value} {clean(entry.value, 80)}".rstrip()
        print(f"{which}  {clean(entry.user, 60)}  priority {entry.priority}")
    if not view.entries:
        print("the vault is empty")
