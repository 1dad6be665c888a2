"""What every verb shares: the daemon's socket, and how answers are printed as JSON."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.complete import a_machine

if TYPE_CHECKING:
    from appliance.client import Client

_SOCKET = Path("/run/innervate/api.sock")

Machine = Annotated[str, typer.Argument(metavar="MACHINE", autocompletion=a_machine)]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Lines = Annotated[bool, typer.Option("--ndjson", help="One JSON object a line, as they come.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    socket: Path


def settings(
    context: typer.Context,
    socket: Annotated[Path, typer.Option(envvar="INNERVATE_SOCKET", help="The daemon's Unix socket.")] = _SOCKET,
) -> None:
    """From a powered-off rack to running applications.

    Example: innervate plan, then innervate apply.
    """
    context.obj = _Settings(socket=socket)


def socket_of(context: typer.Context) -> Path:
    settings: _Settings = context.obj
    return settings.socket


def client_of(context: typer.Context) -> "Client":
    from appliance.client import Client

    return Client(socket_of(context))


def print_json(view: object) -> None:
    from appliance.model.codec import to_json

    print(to_json(view).decode(), flush=True)
