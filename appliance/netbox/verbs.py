"""`innervate netbox`: the site by NetBox, and NetBox by what was found, each as a diff that is looked at first."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.context import client_of, print_json, secret_in
from appliance.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from appliance.netbox.discovered import Machine
    from appliance.netbox.link import NetBox
    from appliance.netbox.model import Diff, Field, Fleet, Truth
    from appliance.netbox.rest import Read

Url = Annotated[str, typer.Option(envvar="INNERVATE_NETBOX", help="Base URL of NetBox, https://HOST.")]
Token = Annotated[Path | None, typer.Option("--netbox-token-file", help="The file with NetBox's API token.")]
Authority = Annotated[Path | None, typer.Option("--netbox-ca-file", help="Who has signed its certificate (PEM).")]
Slug = Annotated[str, typer.Option("--site", help="The site's slug in NetBox.")]
Devices = Annotated[Path | None, typer.Option("--csv", help="Devices from a CSV file instead of NetBox.")]
Interfaces = Annotated[Path | None, typer.Option("--interfaces-csv", help="Their interfaces, with --csv.")]
Truths = Annotated[
    list[str] | None, typer.Option("--truth", metavar="FIELD=netbox|appliance", help="Whose word counts.")
]
Data = Annotated[Path, typer.Option("--file", help="The data file that the site program reads.")]
Digest = Annotated[str, typer.Option(help="Do it, if the diff is still the one with this digest.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def build() -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.command()(diff)
    app.command("import")(take)
    app.command("export")(give)
    return app


def diff(
    context: typer.Context,
    file: Data,
    url: Url = "",
    site: Slug = "",
    token_file: Token = None,
    ca_file: Authority = None,
    table: Devices = None,
    interfaces: Interfaces = None,
    truth: Truths = None,
) -> None:
    """Show what an import and an export would change, and change nothing."""
    from appliance.netbox.model import to_site, truths_of

    truths = truths_of(truth or ())
    found = _found(url, site, token_file, ca_file, table, interfaces)
    _show(to_site(_fleet(found, url or str(table)), _kept(file), truths)[0], found.skipped)
    machines = _discovered(context)
    if table is None:
        found = _looked_up(_netbox(url, token_file, ca_file), found, machines)
    made, left_out = _export(found, url, machines, truths)
    _show(made, left_out[len(found.skipped) :])


def take(
    file: Data,
    url: Url = "",
    site: Slug = "",
    token_file: Token = None,
    ca_file: Authority = None,
    table: Devices = None,
    interfaces: Interfaces = None,
    truth: Truths = None,
    digest: Digest = "",
    as_json: Json = False,
) -> None:
    """Take racks, places, addresses, MACs and OOB addresses from NetBox into the site's data file.

    Example: innervate netbox import --file /etc/innervate/netbox.json --url https://netbox.example --site zurich
    """
    from appliance.netbox.model import approved, to_site, truths_of

    found = _found(url, site, token_file, ca_file, table, interfaces)
    made, after = to_site(_fleet(found, url or str(table)), _kept(file), truths_of(truth or ()))
    if digest:
        approved(made, digest)
        _write(file, after)
    _told(made, found.skipped, as_json=as_json, done=bool(digest))


def give(
    context: typer.Context,
    url: Url,
    site: Slug,
    token_file: Token = None,
    ca_file: Authority = None,
    truth: Truths = None,
    digest: Digest = "",
    as_json: Json = False,
) -> None:
    """Write what was discovered to NetBox, of machines that it knows: serial numbers; ports with their MACs, cables by
    LLDP and primary addresses where it has none."""
    import asyncio

    from appliance.netbox.model import approved, truths_of
    from appliance.netbox.rest import patch_of

    netbox, machines = _netbox(url, token_file, ca_file), _discovered(context)
    found = _looked_up(netbox, asyncio.run(netbox.read(site)), machines)
    made, left_out = _export(found, url, machines, truths_of(truth or ()))
    if digest:
        approved(made, digest)
        asyncio.run(netbox.patch_devices({found.ids[one.machine]: patch_of(one.after) for one in made.changes}))
        asyncio.run(netbox.wire(made.ports, found))
    _told(made, left_out, as_json=as_json, done=bool(digest))


def _looked_up(netbox: "NetBox", found: "Read", machines: "tuple[Machine, ...]") -> "Read":
    """With the addresses that NetBox has, whoever has them there."""
    import asyncio
    from dataclasses import replace

    from appliance.netbox.rest import addresses_of

    wanted = [one.found.address.partition("/")[0] for one in machines if one.found.address]
    held = addresses_of(asyncio.run(netbox.addresses(wanted)))
    return replace(found, known=replace(found.known, addresses={**found.known.addresses, **held}))


def _export(
    found: "Read", source: str, machines: "tuple[Machine, ...]", truths: "Mapping[Field, Truth]"
) -> "tuple[Diff, tuple[str, ...]]":
    from dataclasses import replace

    from appliance.netbox.model import Fleet, to_netbox
    from appliance.netbox.wiring import wiring

    ours = Fleet(source="appliance", devices=tuple(one.device for one in machines))
    wired = wiring(found.known, [one.found for one in machines if one.found.machine in found.ids])
    made = replace(to_netbox(_fleet(found, source), ours, truths), ports=wired.changes)
    return made, (*found.skipped, *wired.left_out)


def _netbox(url: str, token_file: Path | None, ca_file: Path | None) -> "NetBox":
    from appliance.model.secret import Secret
    from appliance.netbox.link import NetBox
    from appliance.netbox.pages import Endpoint

    if not url or token_file is None:
        raise UsageError("where is NetBox?", next_action="give --url and --netbox-token-file, or --csv FILE")
    return NetBox(Endpoint(url=url, token=Secret(secret_in(token_file))), ca_file)


def _found(
    url: str, site: str, token_file: Path | None, ca_file: Path | None, table: Path | None, interfaces: Path | None
) -> "Read":
    import asyncio

    from appliance.netbox.tables import read_tables

    if table is not None:
        return read_tables(_text(table), _text(interfaces) if interfaces else "")
    if not site:
        raise UsageError("which site of NetBox?", next_action="give its slug: --site zurich")
    return asyncio.run(_netbox(url, token_file, ca_file).read(site))


def _fleet(found: "Read", source: str) -> "Fleet":
    from appliance.netbox.model import Fleet

    return Fleet(source=source, devices=found.devices)


def _discovered(context: typer.Context) -> "tuple[Machine, ...]":
    from appliance.netbox.discovered import machines_of

    client = client_of(context)
    return machines_of(client.report(), client.networks())


def _kept(file: Path) -> "Fleet":
    """Nothing where nothing was imported yet."""
    from appliance.model.codec import from_json
    from appliance.netbox.model import Fleet

    return from_json(Fleet, _text(file)) if file.exists() else Fleet(source="")


def _write(file: Path, fleet: "Fleet") -> None:
    """Whole or not at all; a line for each machine, for whoever keeps it under version control."""
    from appliance.model.codec import to_json

    head, rows = to_json(type(fleet)(source=fleet.source)).decode(), [to_json(one).decode() for one in fleet.devices]
    draft = file.with_name(f".{file.name}.new")
    try:
        draft.write_text(head.replace("[]", "[\n" + ",\n".join(rows) + "\n]") + "\n")
        draft.replace(file)
    except OSError as error:
        raise UsageError(f"{file} cannot be written", evidence=str(error), next_action="name another --file") from error


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read", evidence=str(error)[:200], next_action="name a text file") from error


def _told(made: "Diff", left_out: "Sequence[str]", *, as_json: bool, done: bool) -> None:
    if as_json:
        print_json(made)
        return
    _show(made, left_out)
    if done:
        print(f"done: {len(made.changes) + len(made.ports)} changes")
    elif made.changes or made.ports:
        print(f"nothing is written yet; to do this: --digest {made.digest[:12]}")


def _show(made: "Diff", left_out: "Sequence[str]") -> None:
    print(f"{made.target}: {len(made.changes) + len(made.ports)} changes, digest {made.digest[:12]}")
    for change in (*made.changes, *made.ports):
        print(f"  {change}")
    for reason in left_out:
        print(f"  left out: {reason}")
