"""From the site program's rack to the configuration of its boot services; and a store with gaps."""

from dataclasses import replace
from pathlib import Path

import pytest

from appliance.config import Settings
from appliance.errors import MachineryError
from appliance.lab.topology import lab_rack
from appliance.services.segment import ramdisk_of, service_config, stated_macs
from appliance.services.stock import Stock, take_stock
from pxe.content import BytesContent, ContentTable

STOCK = Stock(
    programs=ContentTable({"snponly.efi": BytesContent(data=b"x")}),
    artifacts={},
    kernel_sha256="aa" * 32,
    initrd_sha256="bb" * 32,
    images={},
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        state_dir=tmp_path, socket=tmp_path / "s", site=tmp_path / "site.py", images_dir=tmp_path / "images"
    )


def test_service_config(settings: Settings) -> None:
    rack = lab_rack()
    nameless = replace(rack.servers[1], mac=None)
    config = service_config(replace(rack, servers=(rack.servers[0], nameless)), STOCK, settings)
    assert config.device == rack.boot_network.device
    assert config.endpoints.address == config.dhcp.local[0].server == rack.boot_network.address
    assert config.journal == settings.state_dir / "leases.journal"
    first = rack.servers[0]
    assert {mac: (r.address, r.hostname) for mac, r in config.dhcp.local[0].reservations.items()} == {
        first.mac: (first.address, "node-0")
    }
    assert dict(config.zone.hosts) == {server.name: server.address for server in rack.servers}
    assert config.programs is STOCK.programs


@pytest.mark.parametrize(("console", "arguments"), [("", ()), ("ttyS0,115200", ("console=ttyS0,115200",))])
def test_ramdisk(console: str, arguments: tuple[str, ...], settings: Settings) -> None:
    ramdisk = ramdisk_of(lab_rack(), STOCK, replace(settings, console=console))
    assert (ramdisk.kernel, ramdisk.initrd) == (f"/artifact/{'aa' * 32}", f"/artifact/{'bb' * 32}")
    assert (ramdisk.server_url, ramdisk.arguments) == ("http://10.77.0.1", arguments)


def test_stated_macs() -> None:
    rack = lab_rack()
    assert stated_macs(replace(rack, servers=(replace(rack.servers[0], mac=None), rack.servers[1]))) == {
        "node-1": rack.servers[1].mac
    }


def test_an_empty_store_is_named_and_nothing_is_built(settings: Settings) -> None:
    with pytest.raises(MachineryError, match="is incomplete") as caught:
        take_stock(settings)
    assert str(settings.images_dir) in str(caught.value)
    assert caught.value.next_action
    assert not settings.images_dir.exists()
