"""`innervate set`: artifact sets, from a folder into the appliance's registry and out of it again."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.context import Json, client_of, print_json

if TYPE_CHECKING:
    from appliance.client import Client
    from appliance.model.set_views import SetJobView, SetsView

_PAUSE_SECONDS = 0.5

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of a set: innervate set list.")]
Folder = Annotated[str, typer.Argument(metavar="DIR", help="A folder in the appliance's folder of sets, or its path.")]
Leave = Annotated[bool, typer.Option("--no-wait", help="Begin it, and do not wait for its end.")]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.command("import")(import_set)
    group.command("list")(list_sets)
    for verb in (check, remove):
        group.command()(verb)
    app.add_typer(group, name="set", help="Artifact sets: all that one version of a cluster engine needs.")


def import_set(context: typer.Context, folder: Folder, no_wait: Leave = False, as_json: Json = False) -> None:
    """Import a set: hash all of it, put it into the registry and onto the disk, and read it back.

    Example: innervate set import kubeadm-v1.20.2
    """
    client = client_of(context)
    _see_through(client, client.import_set(folder), no_wait=no_wait, as_json=as_json)


def list_sets(context: typer.Context, as_json: Json = False) -> None:
    """Show the sets that are held, whose work they are, and what goes on."""
    from appliance.cli import show_sets as show

    view = client_of(context).sets()
    print_json(view) if as_json else show.console().print(show.sets(view))


def check(context: typer.Context, name: Name, no_wait: Leave = False, as_json: Json = False) -> None:
    """Read and hash every part of a set where nodes would get it."""
    client = client_of(context)
    _see_through(client, client.check_set(name), no_wait=no_wait, as_json=as_json)


def remove(context: typer.Context, name: Name, no_wait: Leave = False, as_json: Json = False) -> None:
    """Remove a set, and whatever no other set names."""
    client = client_of(context)
    _see_through(client, client.remove_set(name), no_wait=no_wait, as_json=as_json)


def _see_through(client: "Client", view: "SetsView", *, no_wait: bool, as_json: bool) -> None:
    """Raises what the work ended with."""
    from appliance.cli import show_sets as show
    from appliance.exchange import error_of
    from appliance.model.set_views import WorkState

    begun = view.job
    if begun is not None and not no_wait:
        view = _awaited(client, begun)
    print_json(view) if as_json else show.console().print(show.sets(view))
    job = view.job
    if job is not None and job.state is WorkState.FAILED and job.fault is not None and not no_wait:
        raise error_of(job.fault.code, job.fault.message, job.fault.evidence, job.fault.next_action)


def _awaited(client: "Client", begun: "SetJobView") -> "SetsView":
    """How far it is goes to a terminal only, on one line."""
    import time

    from appliance.cli import show_sets as show
    from appliance.model.set_views import WorkState

    while True:
        view = client.sets()
        job = view.job
        if job is None or job.started != begun.started or job.state is not WorkState.RUNNING:
            break
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{show.job_line(job)}")
            sys.stderr.flush()
        time.sleep(_PAUSE_SECONDS)
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    return view
