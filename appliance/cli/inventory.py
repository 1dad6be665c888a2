"""`innervate inventory`: the machines for Ansible, as its inventory script and as files."""

import sys
from typing import Annotated

import typer

from appliance.cli.complete import a_filter
from appliance.cli.context import client_of
from appliance.errors import UsageError

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILTER]...", help="Only machines that fit, such as state:active.", autocompletion=a_filter
    ),
]


def add_to(app: typer.Typer) -> None:
    app.command()(inventory)


def inventory(
    context: typer.Context,
    words: Words = None,
    listed: Annotated[bool, typer.Option("--list", help="All groups and hosts, as Ansible asks a script for.")] = False,
    host: Annotated[str, typer.Option(metavar="NAME", help="The variables of one host.")] = "",
    as_yaml: Annotated[bool, typer.Option("--yaml", help="An inventory file in YAML.")] = False,
    as_ini: Annotated[bool, typer.Option("--ini", help="An inventory file in INI.")] = False,
) -> None:
    """Give machines to Ansible, in groups by role, state, phase, product and rack.

    Example: innervate inventory --yaml state:active > hosts.yml
    """
    from appliance.cli import ansible
    from appliance.model.filter import joined

    if [listed, bool(host), as_yaml, as_ini].count(True) != 1:
        raise UsageError("an inventory of which kind?", next_action="give one of --list, --host NAME, --yaml, --ini")
    client = client_of(context)
    if host:
        sys.stdout.write(ansible.host(client.machine(host)))
        return
    machines = client.machines(str(joined(words or ()))).machines
    written = ansible.as_yaml if as_yaml else ansible.as_ini if as_ini else ansible.listing
    sys.stdout.write(written(machines))
