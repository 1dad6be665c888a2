"""`innervate report` and `innervate support-bundle`: what is handed over with a rack, and what a supporter needs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.context import Json, client_of, print_json
from appliance.cli.look import Words, wanted_of
from appliance.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from appliance.model.report_views import ReportView

_MODE, OURS = 0o644, 0o600


def add_to(app: typer.Typer) -> None:
    app.command()(report)
    app.command("support-bundle")(support_bundle)


def report(
    context: typer.Context,
    words: Words = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write it as a page to print.")] = None,
    as_json: Json = False,
) -> None:
    """What is handed over: serial numbers, firmware, disks, addresses, what was installed, and what proved it.

    Example: innervate report rack:r12 --html r12.html
    """
    from appliance.cli import show

    view = client_of(context).report(wanted_of(words))
    if html is not None:
        _written(html, view)
    if as_json:
        print_json(view)
    elif html is None:
        show.console().print(_table(view))


def support_bundle(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The ZIP that is written.")],
) -> None:
    """What somebody elsewhere needs to see why a site does not go on, without secrets; index.html in it says what is
    there and what is not.

    Example: innervate support-bundle support.zip
    """
    data = client_of(context).support_bundle()
    kept(file, data, OURS)
    print(f"{file}: {len(data)} bytes; read index.html in it before you give it away")


def _written(file: Path, view: "ReportView") -> None:
    from appliance.frontend.report import page

    kept(file, page(view).encode("utf-8", "replace"), _MODE)


def kept(file: Path, data: bytes, mode: int) -> None:
    try:
        file.write_bytes(data)
        file.chmod(mode)
    except OSError as error:
        raise UsageError(f"cannot write {file}", evidence=str(error), next_action="name another file") from error


def _table(view: "ReportView") -> "Table":
    from rich.table import Table
    from rich.text import Text

    from appliance.frontend.report import racks, took, troubles
    from appliance.frontend.units import duration
    from appliance.model.standing import standing
    from appliance.model.text import clean

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("place", "machine", "state", "serial", "firmware", "installed", "disk", "address", "took", "trouble"):
        table.add_column(title, overflow="fold")
    for one in (one for shelf in racks(view) for one in shelf.machines):
        machine, installed, system = one.machine, one.installed, one.system
        row = (
            str(machine.place or ""),
            machine.name,
            standing(machine).value,
            machine.serial,
            system.firmware_version if system else "",
            installed.image if installed else "",
            (installed.disk_serial or installed.disk_wwn) if installed else "",
            machine.address,
            duration(took(one)),
            "; ".join(troubles(one)),
        )
        table.add_row(*(Text(clean(word, 300)) for word in row))
    return table
