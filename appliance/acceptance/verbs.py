"""`innervate accept`: a set is tried on this machine, and what came of it is signed. Asks no daemon."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.context import Json
from appliance.cli.exits import Exit
from appliance.errors import MachineryError, UsageError

_KEY = Path("~/.cache/innervate/keys/innervate.key")


def build() -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.callback()(_group)
    group.command("okd")(okd)
    return group


def _group() -> None:
    """Try what a set brings, by the assertions that stand-ins pass."""


def okd(
    folder: Annotated[Path, typer.Option("--set", metavar="DIR", help="A described set of OKD.")],
    kubeconfig: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of a cluster made with it, which is looked at, too.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The result; its signature stands beside.")
    ] = None,
    key: Annotated[Path, typer.Option(metavar="FILE", help="What signs it; made if it is not there.")] = _KEY,
    as_json: Json = False,
) -> None:
    """Run a release's own programs as the appliance does, and say and sign what it passes.

    Example: innervate accept okd --set okd-4.19 --output okd-4.19.json
    """
    from datetime import UTC, datetime
    from tempfile import TemporaryDirectory

    from appliance.acceptance.okd import OkdAcceptance
    from appliance.model.secret import Secret
    from appliance.system import SystemClock
    from images.errors import ImagesError
    from images.processes import HostProcesses
    from pxe.tls import make_authority

    try:
        with TemporaryDirectory(prefix="innervate-accept-") as work:
            now = SystemClock().now()
            authority = make_authority(name="acceptance", now=datetime.fromtimestamp(now, UTC)).certificate.decode()
            access = Secret(kubeconfig.read_text()) if kubeconfig is not None else None
            result = OkdAcceptance(folder, Path(work), HostProcesses(), authority, access).run(now)
    except OSError as error:
        raise UsageError("a file cannot be read or written", evidence=str(error)) from error
    except ImagesError as error:
        raise UsageError(str(error), evidence=error.evidence, next_action=error.next_action) from error
    content = result.to_json()
    if output is not None:
        _sign(output, content, result.comment, key)
    sys.stdout.write(content.decode() if as_json else "".join(f"{line}\n" for line in result.lines))
    raise typer.Exit(Exit.OK if result.passed else Exit.FAILURE)


def _sign(output: Path, content: bytes, comment: str, key: Path) -> None:
    from io import BytesIO

    from images.errors import ImagesError
    from images.keys import ensure_key

    try:
        signature = ensure_key(key).sign(BytesIO(content), comment)
        output.write_bytes(content)
        output.with_name(f"{output.name}.minisig").write_text(signature)
    except ImagesError as error:
        raise UsageError(str(error), evidence=error.evidence, next_action=error.next_action) from error
    except OSError as error:
        raise MachineryError(f"{output} cannot be written", evidence=str(error)) from error
