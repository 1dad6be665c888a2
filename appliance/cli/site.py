"""`innervate site`: the program of the daemon, as it runs and as it is on disk."""

import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from appliance.cli import leaving
from appliance.cli.context import Json, client_of, print_json
from appliance.cli.exits import Exit
from appliance.errors import RefusedError
from appliance.frontend.units import moment, numbered
from appliance.model.site_views import SiteChangeView, SiteCheckView, SiteView
from appliance.model.text import clean

_LINE = 1000
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def add_to(app: typer.Typer) -> None:
    site = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    for verb in (show, diff, check, reload):
        site.command()(verb)
    site.command()(leaving.leave)
    app.add_typer(site, name="site", help="The daemon's site program: its text, what has changed, whether it is sound.")


def show(context: typer.Context, as_json: Json = False) -> None:
    """Show the program on disk with its line numbers; what looks like a secret is masked."""
    view = client_of(context).site()
    print_json(view) if as_json else print("\n".join(_numbered(view.source)))


def diff(context: typer.Context, as_json: Json = False) -> None:
    """Show what is on disk against what runs, and what would be done otherwise on which machine and disk."""
    view = client_of(context).site()
    print_json(view) if as_json else print("\n".join(_differences(view)))


def check(context: typer.Context, as_json: Json = False) -> None:
    """Check the program on disk, on the daemon's machine. `innervate check FILE` checks any other."""
    view = client_of(context).site().check
    print_json(view) if as_json else print("\n".join(_verdict(view)))
    raise typer.Exit(Exit.OK if view.fault is None else Exit.USAGE)


def reload(
    context: typer.Context,
    digest: Annotated[
        str, typer.Option(help="Take what has this digest (diff --json) and nothing else; do not ask.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Run what is on disk, where only scores differ: show the difference, ask, take it. Else restart the daemon."""
    from appliance.cli.follow import ask
    from appliance.frontend.provision import confirm

    client = client_of(context)
    if not digest:
        view = client.site()
        print("\n".join(_differences(view)), file=sys.stderr)
        if not view.reloadable:
            raise typer.Exit(Exit.OK if not view.changed else Exit.CONFLICT)
        if not sys.stdin.isatty():
            raise RefusedError(
                "not reloaded: there is no terminal to confirm it on",
                next_action=f"read the difference, then: innervate site reload --digest {view.digest}",
            )
        confirm("site", view.name, ask)
        digest = view.digest
    taken = client.reload_site(digest)
    print_json(taken) if as_json else print(f"{clean(taken.name, 63)} runs what is on disk")


def _numbered(source: str) -> Iterator[str]:
    width = len(str(source.count("\n")))
    yield from (f"{number:{width}}  {clean(line, _LINE)}".rstrip() for number, line in numbered(source))


def _verdict(view: SiteCheckView) -> Iterator[str]:
    if view.fault is None:
        yield from (clean(line, _LINE) for line in view.summary.splitlines())
        return
    yield f"error: {clean(view.fault.message, _LINE)}"
    yield f"  seen: {clean(view.fault.where, 2 * _LINE)}"
    yield f"  next: {clean(view.fault.next_action, _LINE)}"


def _differences(view: SiteView) -> Iterator[str]:
    if not view.changed:
        yield f"the program on disk is the one that runs since {moment(view.loaded)}"
        return
    yield from (clean(line, _LINE) for line in view.diff.splitlines())
    if not view.diff:
        yield "only what is masked differs"
    if view.check.fault is not None:
        yield from _verdict(view.check)
    yield from (f"+ machine {clean(name, 63)}" for name in view.machines_added)
    yield from (f"- machine {clean(name, 63)}" for name in view.machines_removed)
    yield from map(_change, view.changes)
    if view.plan_problem:
        yield f"cannot be planned now: {clean(view.plan_problem, _LINE)}"
    elif view.check.fault is None and not view.changes:
        yield "no step would be another one now"
    yield clean(view.advice, _LINE)


def _change(change: SiteChangeView) -> str:
    was = f" (was: {clean(change.before, 1000)})" if change.before and change.before != change.summary else ""
    kind = " DESTROYS" if change.kind == "destructive" else ""
    return f"{_SIGNS[change.change]} {clean(change.machine, 63)}:{kind} {clean(change.summary, 1000)}{was}"
