"""What the shell offers after TAB. Whoever cannot answer offers nothing: a prompt is no place for errors."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from appliance.client import Client

_PATIENCE = 1.0
_OFFERED = 200


def a_machine(context: typer.Context, incomplete: str) -> list[str]:
    """Names that begin like this."""
    from appliance.errors import InnervateError
    from appliance.model.filter import Field, Filter, Pattern, Term

    pattern = Pattern(pieces=(incomplete, ""))
    wanted = Filter(terms=(Term(field=Field.NAME, patterns=(pattern,)),))
    try:
        page = next(iter(_client(context).machine_pages(str(wanted), size=_OFFERED)))
    except InnervateError:
        return []
    return [machine.name for machine in page.machines]


def a_cluster(context: typer.Context, incomplete: str) -> list[str]:
    """Names that begin like this, of the first that there are."""
    from appliance.errors import InnervateError

    try:
        page = next(iter(_client(context).cluster_pages(size=_OFFERED)))
    except InnervateError:
        return []
    return [cluster.name for cluster in page.clusters if cluster.name.startswith(incomplete)]


def a_filter(context: typer.Context, incomplete: str) -> list[str]:
    """Fields, and names of machines."""
    from appliance.model.filter import Field

    fields = [f"{field.value}:" for field in Field if field.value.startswith(incomplete)]
    return [*fields, *a_machine(context, incomplete)]


def _client(context: typer.Context) -> "Client":
    """While the shell asks, nothing has run yet: the socket is only a word of the command line."""
    from pathlib import Path

    from appliance.client import Client

    return Client(Path(str(context.find_root().params["socket"])), timeout=_PATIENCE)
