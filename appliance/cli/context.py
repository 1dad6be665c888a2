"""What every verb shares: where the daemon is, and how answers are printed as JSON."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance import __version__
from appliance.cli.complete import a_machine
from appliance.errors import UsageError

if TYPE_CHECKING:
    from appliance.client import Client

_SOCKET = Path("/run/innervate/api.sock")

Machine = Annotated[str, typer.Argument(metavar="MACHINE", autocompletion=a_machine)]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Lines = Annotated[bool, typer.Option("--ndjson", help="One JSON object a line, as they come.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    socket: Path
    server: str
    token_file: Path | None
    fingerprint: str
    authority: Path | None


def _say_version(wanted: bool) -> None:
    if wanted:
        print(f"innervate {__version__}")
        raise typer.Exit


def settings(
    context: typer.Context,
    socket: Annotated[Path, typer.Option(envvar="INNERVATE_SOCKET", help="The daemon's Unix socket.")] = _SOCKET,
    server: Annotated[
        str, typer.Option(envvar="INNERVATE_SERVER", help="https://HOST:PORT of a daemon elsewhere.")
    ] = "",
    token_file: Annotated[
        Path | None, typer.Option(envvar="INNERVATE_TOKEN_FILE", help="The file with the token for --server.")
    ] = None,
    fingerprint: Annotated[
        str, typer.Option(envvar="INNERVATE_FINGERPRINT", help="The SHA-256 of the server's certificate.")
    ] = "",
    authority: Annotated[
        Path | None, typer.Option("--ca-file", envvar="INNERVATE_CA_FILE", help="Who has signed it, in PEM.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Show the version, and end.")
    ] = False,
) -> None:
    """From a powered-off rack to running applications.

    Example: innervate plan, then innervate apply.
    """
    context.obj = _Settings(
        socket=socket, server=server, token_file=token_file, fingerprint=fingerprint, authority=authority
    )


def arguments_of(context: typer.Context) -> tuple[str, ...]:
    """What makes another `innervate` talk to the same daemon."""
    settings: _Settings = context.obj
    if not settings.server:
        return "--socket", str(settings.socket)
    said = {
        "--server": settings.server,
        "--token-file": settings.token_file,
        "--fingerprint": settings.fingerprint,
        "--ca-file": settings.authority,
    }
    return tuple(word for option, value in said.items() if value for word in (option, str(value)))


def client_of(context: typer.Context) -> "Client":
    from appliance.client import Client
    from appliance.dial import UnixDial, https_dial

    settings: _Settings = context.obj
    if not settings.server:
        return Client(UnixDial(path=settings.socket))
    token = secret_in(settings.token_file) if settings.token_file else ""
    return Client(https_dial(settings.server, token, settings.fingerprint, settings.authority))


def secret_in(file: Path) -> str:
    """The first line. Raises `UsageError`."""
    try:
        return file.read_text().partition("\n")[0].strip("\r")
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {file}", evidence=str(error), next_action="name a text file") from error


def print_json(view: object) -> None:
    from appliance.model.codec import to_json

    print(to_json(view).decode(), flush=True)
