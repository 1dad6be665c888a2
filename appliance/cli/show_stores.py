"""Images, networks and addresses as text for people; what came from hardware is cleaned on its way."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from appliance.cli.show import columns, console, trouble
from appliance.frontend import units
from appliance.frontend.words import lease_left, pool_text
from appliance.model.image_views import HashState, ImagesView, ImageView
from appliance.model.network_views import AddressState, LeasesView, NetworksView, RivalView
from appliance.model.text import clean

__all__ = ["console", "image", "images", "leases", "networks"]

_SHORT = 12
_HASH_STYLES = {HashState.CHANGED: "bold red", HashState.MISSING: "bold red"}
_ADDRESS_STYLES = {AddressState.DECLINED: "bold yellow", AddressState.BOUND: "green"}


def images(view: ImagesView) -> RenderableType:
    table = columns("image", "version", "size", "sha256", "hash", "served", "machines")
    for one in view.images:
        table.add_row(
            Text(clean(one.name, 63)),
            Text(clean(one.version, 64)[:_SHORT]),
            Text(units.size(one.size_bytes), justify="right"),
            Text(clean(one.sha256, 64)[:_SHORT]),
            _hash(one.state),
            Text("yes" if one.served else "-"),
            Text(str(len(one.machines)) if one.machines else "-", justify="right"),
        )
    room = () if view.free_bytes is None else (Text(f"{units.size(view.free_bytes)} are free in the store"),)
    return Group(table, *room)


def image(view: ImageView) -> RenderableType:
    head = columns("image", "")
    for name, text in (
        ("version", clean(view.version, 64)),
        ("size", units.size(view.size_bytes)),
        ("served", "yes" if view.served else "no: the daemon needs another version, or does not need it"),
        ("machines", ", ".join(clean(name, 63) for name in view.machines) or "-"),
    ):
        head.add_row(Text(name), Text(text))
    head.columns[0].header = clean(view.name, 63)
    return Group(head, _artifacts(view))


def _artifacts(view: ImageView) -> Table:
    table = columns("artefact", "size", "sha256", "hash")
    for one in view.artifacts:
        size = Text(units.size(one.size_bytes), justify="right")
        table.add_row(Text(clean(one.name, 63)), size, Text(clean(one.sha256, 64)), _hash(one.state))
    return table


def _hash(state: HashState) -> Text:
    return Text(state.value, style=_HASH_STYLES.get(state, ""))


def networks(view: NetworksView, now: float) -> RenderableType:
    table = columns("network", "device", "DHCP", "address", "router", "pool", "in use", "declined", "reserved", "lease")
    for one in view.networks:
        table.add_row(
            Text(clean(one.network, 18)),
            Text(clean(one.device, 15) or "behind a relay"),
            Text(one.mode if view.serves else f"{one.mode}, stands back"),
            Text(clean(one.address, 15)),
            Text(clean(one.router, 15) or "-"),
            Text(f"{one.first} to {one.last}" if one.size else "-"),
            Text(pool_text(one) or "-"),
            Text(str(one.declined) if one.declined else "-", justify="right"),
            Text(str(one.reserved) if one.reserved else "-", justify="right"),
            Text(units.duration(one.lease_seconds) if one.lease_seconds else "-"),
        )
    return Group(table, *(trouble(one, now) for one in view.troubles), *_rivals(view.rivals, now))


def _rivals(rivals: tuple[RivalView, ...], now: float) -> Iterator[Text]:
    for one in rivals:
        heard = "heard now" if one.here else f"last heard {units.duration(now - one.heard)} ago"
        yield Text(f"other DHCP server {clean(one.server, 45)}, {heard}: {clean(one.text, 500)}", style="bold yellow")


def leases(view: LeasesView, now: float) -> RenderableType:
    table = columns("address", "state", "machine", "MAC", "host name", "left", "reserved")
    for one in view.leases:
        table.add_row(
            Text(clean(one.address, 15)),
            Text(one.state.value, style=_ADDRESS_STYLES.get(one.state, "")),
            Text(clean(one.machine, 63) or "-"),
            Text(clean(one.mac, 17)),
            Text(clean(one.hostname, 63) or "-"),
            Text(lease_left(one, now) or "-"),
            Text("yes" if one.reserved else "-"),
        )
    return Group(table, Text(f"{view.total} addresses"))
