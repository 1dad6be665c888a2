"""NetBox by its REST API and by CSV: read over all pages, shown as a diff, done by digest, and done only once."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.api.fake import FakeApplication, served
from appliance.errors import AccessError, InnervateError, MachineryError, NotFoundError, SiteError, UsageError
from appliance.main import main
from appliance.model.bmc import BmcEndpoint
from appliance.model.network_views import NetworksView, NetworkView
from appliance.model.phase import Phase
from appliance.model.place import Place
from appliance.model.report_views import PortView
from appliance.model.secret import Secret
from appliance.model.views import MachineView
from appliance.netbox.link import NetBox
from appliance.netbox.model import Device, Field, Fleet, Truth, approved, to_netbox, to_site, truths_of
from appliance.netbox.pages import Endpoint
from appliance.netbox.rest import Read
from appliance.netbox.site import servers_from
from appliance.netbox.tables import read_tables
from pxe.client import Mac
from tests.netbox import TOKEN, FakeNetBox, device, interface, ip, placed, serving

GOLDEN = Path(__file__).parents[1] / "golden" / "netbox"
EVIL = "r1\x1b]0;pwned\x07\nfake line\u202e"


def rack() -> FakeNetBox:
    return FakeNetBox(
        devices=[
            device(1, "Node-0", **placed("r1", 7.0), primary_ip4=ip("10.77.0.50/24"), oob_ip=ip("10.9.0.1/24")),
            device(2, "node-1", **placed(EVIL, 9.0, "rear"), oob_ip=ip("10.9.0.2/24"), serial="OLD\x1b[31m"),
            device(3, "node-2", oob_ip=ip("10.9.0.3/24")),
            device(4, None, **placed("r1", 30.0)),
            device(5, "bad name!"),
            device(6, "half", **placed("r1", 12.5)),
            device(7, "twin"),
            device(8, "twin"),
            device(9, "odd", oob_ip={"id": 1, "address": "fe80::1/64"}),
        ],
        interfaces=[
            interface(1, "eno1", "52:54:00:77:00:01"),
            interface(1, "ilo", "52:54:00:77:FF:01", mgmt_only=True),
            interface(2, "eno1", "52:54:00:77:00:02"),
            interface(2, "eno2", "52:54:00:77:00:03"),
            interface(3, "eno1", None),
        ],
    )


@pytest.fixture
def netbox() -> Iterator[FakeNetBox]:
    with serving(rack()) as one:
        yield one


def link(netbox: FakeNetBox, token: str = TOKEN) -> NetBox:
    return NetBox(Endpoint(url=netbox.url, token=Secret(token)), None)


EXPECTED = (
    Device(
        name="node-0",
        rack="r1",
        unit=7,
        height=2,
        face="front",
        address="10.77.0.50",
        oob="10.9.0.1",
        mac="52:54:00:77:00:01",
    ),
    Device(name="node-1", rack="r1 fake line", unit=9, height=2, face="rear", oob="10.9.0.2", serial="OLD"),
    Device(name="node-2", height=2, oob="10.9.0.3"),
)


def test_all_pages_are_read_and_hostile_text_is_cleaned(netbox: FakeNetBox) -> None:
    found = asyncio.run(link(netbox).read("zurich"))
    assert found.devices == EXPECTED
    assert found.ids == {"node-0": 1, "node-1": 2, "node-2": 3}
    assert [reason.split(":")[0] for reason in found.skipped] == [
        "device 4",
        "device 5",
        "device 6",
        "device 9",
        "twin",
    ]
    assert sum("dcim/devices" in asked for asked in netbox.asked) == 5
    assert all("site=zurich" in asked for asked in netbox.asked if "/dcim/" in asked and "device-types" not in asked)
    assert any("ip-addresses/?device_id=1&" in asked for asked in netbox.asked)


def failure(netbox: FakeNetBox, token: str = TOKEN, site: str = "zurich") -> InnervateError:
    with pytest.raises(InnervateError) as caught:
        asyncio.run(link(netbox, token).read(site))
    assert caught.value.next_action
    return caught.value


def test_what_netbox_refuses(netbox: FakeNetBox) -> None:
    refused = failure(netbox, token="f" * 40)
    assert isinstance(refused, AccessError)
    assert "Invalid token" in refused.evidence
    assert "f" * 40 not in f"{refused} {refused.evidence}"
    wrong = failure(netbox, site="basel")
    assert isinstance(wrong, UsageError)
    assert "basel is not one of the available choices" in wrong.evidence
    netbox.devices[0]["locked"] = True
    with pytest.raises(UsageError) as caught:
        asyncio.run(link(netbox).patch_devices({1: b'{"serial":"X"}'}))
    assert "cannot be changed" in caught.value.evidence
    assert "\x1b" not in caught.value.evidence
    with pytest.raises(NotFoundError):
        asyncio.run(link(netbox).patch_devices({77: b'{"serial":"X"}'}))


def test_the_token_goes_to_nobody_else(netbox: FakeNetBox) -> None:
    with serving(FakeNetBox()) as other:
        netbox.next_host = other.url
        assert isinstance(failure(netbox), MachineryError)
        assert other.asked == []
    for url in ("http://netbox.example", "ftp://x", "https://ann:pw@netbox.example", "https://x/?a=b", ""):
        with pytest.raises(UsageError):
            Endpoint(url=url, token=Secret("x"))


def test_nobody_there_and_nonsense(netbox: FakeNetBox) -> None:
    with serving(FakeNetBox()) as gone:
        pass
    assert isinstance(failure(gone), MachineryError)
    netbox.devices[0]["position"] = "up"
    assert "makes no sense" in str(failure(netbox))


def test_csv_says_the_same() -> None:
    found = read_tables((GOLDEN / "devices.csv").read_text(), (GOLDEN / "interfaces.csv").read_text())
    assert found.devices == (EXPECTED[0], replace(EXPECTED[1], rack="r1"), EXPECTED[2])
    assert read_tables("name\nnode-9\n", "").devices == (Device(name="node-9"),)
    for table in ("serial\nX\n", "name,position\nn,up\n", "name,position\nn,inf\n", 'name\n"x'):
        with pytest.raises(UsageError):
            read_tables(table, "")


# the diff ----------------------------------------------------------------------------------------------------


def fleet(*devices: Device) -> Fleet:
    return Fleet(source="x", devices=devices)


def test_a_diff_as_people_read_it() -> None:
    ours = fleet(replace(EXPECTED[0], unit=3, serial="SN0"), Device(name="gone", rack="r2", unit=1))
    made, after = to_site(fleet(*EXPECTED), ours, truths_of(()))
    assert "\n".join(map(str, made.changes)) + "\n" == (GOLDEN / "import.txt").read_text()
    assert [device.name for device in after.devices] == ["node-0", "node-1", "node-2"]
    assert after.devices[0].serial == "SN0", "what the appliance is the truth of stays"
    again, same = to_site(fleet(*EXPECTED), after, truths_of(()))
    assert (again.changes, same.devices) == ((), after.devices)


def test_each_field_has_its_truth() -> None:
    theirs, ours = fleet(replace(EXPECTED[0], serial="NB", unit=9)), fleet(replace(EXPECTED[0], serial="SN0"))
    export = to_netbox(theirs, ours, truths_of(()))
    assert [str(change) for change in export.changes] == ["~ node-0 serial: NB -> SN0"]
    turned = truths_of(("serial=netbox", "unit=appliance"))
    assert to_netbox(theirs, ours, turned).changes == ()
    assert [change.field for change in to_site(theirs, ours, turned)[0].changes] == [Field.SERIAL]
    unknown = fleet(replace(EXPECTED[0], serial=""), Device(name="stranger", serial="S"))
    assert to_netbox(theirs, unknown, truths_of(())).changes == (), "what is not known empties nothing"
    for word in ("serial", "serial=me", "colour=netbox"):
        with pytest.raises(UsageError):
            truths_of((word,))
    assert truths_of(())[Field.SERIAL] is Truth.APPLIANCE


def test_only_the_diff_that_was_seen_is_done() -> None:
    made, _ = to_site(fleet(*EXPECTED), fleet(), truths_of(()))
    other, _ = to_site(fleet(EXPECTED[0]), fleet(), truths_of(()))
    assert approved(made, made.digest[:12]) is made
    for digest in (other.digest, made.digest[:11], ""):
        with pytest.raises(InnervateError):
            approved(made, digest)


# as people type it -------------------------------------------------------------------------------------------


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    status = main(words)
    return status, "".join(capsys.readouterr())


def digest_in(text: str) -> str:
    return text.rsplit("--digest ", 1)[1].split()[0]


def test_import(netbox: FakeNetBox, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    file = tmp_path / "netbox.json"
    words = ["netbox", "import", "--file", str(file), "--url", netbox.url, "--site", "zurich"]
    words += ["--netbox-token-file", str(tmp_path / "token")]
    status, shown = typed(capsys, *words)
    assert (status, file.exists()) == (0, False)
    assert "left out: device 6: half stands at half a unit" in shown
    assert "\x1b" not in shown
    netbox.devices[0]["position"] = 20.0
    status, said = typed(capsys, *words, "--digest", digest_in(shown))
    assert (status, file.exists(), "not the diff that was looked at" in said) == (5, False, True)
    status, said = typed(capsys, *words, "--digest", digest_in(typed(capsys, *words)[1]))
    assert (status, "done: " in said) == (0, True)
    status, said = typed(capsys, *words)
    assert (status, "site: 0 changes" in said, "--digest" in said) == (0, True, False)
    first, second, _ = servers_from(file, endpoint)
    assert (first.name, first.address, first.mac) == ("node-0", IPv4Address("10.77.0.50"), Mac("52:54:00:77:00:01"))
    assert first.place == Place(rack="r1", unit=20, height=2, face="front")
    assert second.place == Place(rack="r1 fake line", unit=9, height=2, face="rear")
    assert first.bmc.url == "https://10.9.0.1"
    assert (second.mac, second.address) == (None, None)
    assert file.read_text().count("\n") == 5
    file.write_text("{}")
    with pytest.raises(SiteError, match="cannot be used"):
        servers_from(file, endpoint)


def endpoint(oob: str) -> BmcEndpoint:
    return BmcEndpoint(url=f"https://{oob}", user="ops", password=Secret("x"), fingerprint="00" * 32)


def test_export(netbox: FakeNetBox, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    application = FakeApplication()
    for name, serial in (("node-0", "SN0001"), ("node-1", "SN\x1b[31m2"), ("stranger", "S3"), ("node-2", "")):
        view = MachineView(name=name, phase=Phase.AVAILABLE, since=0.0, serial=serial, uuid="", address="")
        application.inventory[name], application.wires[name] = view, ()
    with served(application, tmp_path / "api.sock"):
        words = ["--socket", str(tmp_path / "api.sock"), "netbox", "export", "--url", netbox.url, "--site", "zurich"]
        words += ["--netbox-token-file", str(tmp_path / "token")]
        status, shown = typed(capsys, *words)
        assert (status, netbox.patched) == (0, [])
        assert "~ node-0 serial: - -> SN0001" in shown
        assert typed(capsys, *words, "--digest", "f" * 12)[0] == 5
        assert netbox.patched == []
        assert typed(capsys, *words, "--digest", digest_in(shown))[0] == 0
        assert netbox.patched == [(1, {"serial": "SN0001"}), (2, {"serial": "SN2"})]
        status, again = typed(capsys, *words)
        assert (status, "netbox: 0 changes" in again) == (0, True)
        at = words.index("export")
        status, said = typed(capsys, *words[:at], "diff", *words[at + 1 :], "--file", str(tmp_path / "none.json"))
        assert (status, "site: " in said, "netbox: 0 changes" in said) == (0, True, True)


BOOT = NetworkView(network="10.77.0.0/24", mode="full", device="br0", address="10.77.0.1")


def wired(application: FakeApplication) -> None:
    """node-0 has two ports in a switch that NetBox knows, node-1 one where NetBox says otherwise."""
    application.stores.network = NetworksView(networks=(BOOT,))
    first, second = "52:54:00:77:00:01", "52:54:00:77:00:09"
    said = {
        "node-0": (("eno1", first, "leaf-1.example", "swp7"), ("eno2", second, "leaf-1", "swp8")),
        "node-1": (("eno1", "52:54:00:77:00:AA", "leaf-2", "swp1"), ("eno2", "52:54:00:77:00:03", "leaf-1", "swp9")),
        "node-2": (("ens3", "52:54:00:77:00:0b", "", ""),),
    }
    for name, address in (("node-0", "10.77.0.50"), ("node-1", "10.77.0.51"), ("node-2", "10.77.0.52")):
        view = MachineView(name=name, phase=Phase.ACTIVE, since=0.0, address=address)
        application.inventory[name] = view
        application.wires[name] = tuple(
            PortView(nic=nic, mac=mac, up=True, switch=switch, port=port, addresses=(address,) * (mac == first))
            for nic, mac, switch, port in said[name]
        )


def test_export_of_ports_cables_and_addresses(
    netbox: FakeNetBox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    netbox.devices.append(device(20, "Leaf-1"))
    netbox.interfaces += [interface(20, name, None) for name in ("swp7", "SWP8", "swp9")]
    taken = netbox.interfaces[-1]
    taken["cable"] = {"id": 1}
    taken["link_peers"] = [{"name": "eno9", "device": {"id": 99, "name": "elsewhere"}}]
    netbox.addresses.append(
        {"id": 1, "address": "10.77.0.50/24", "assigned_object_type": None, "assigned_object_id": None}
    )
    netbox.devices[0]["primary_ip4"] = None
    application = FakeApplication()
    wired(application)
    with served(application, tmp_path / "api.sock"):
        words = ["--socket", str(tmp_path / "api.sock"), "netbox", "export", "--url", netbox.url, "--site", "zurich"]
        words += ["--netbox-token-file", str(tmp_path / "token")]
        status, shown = typed(capsys, *words)
        assert (status, netbox.macs, netbox.cables) == (0, [], [])
        assert shown.partition("nothing is written")[0] == (GOLDEN / "export.txt").read_text()
        status, done = typed(capsys, *words, "--digest", digest_in(shown))
        assert (status, done.splitlines()[-1]) == (0, "done: 8 changes")
        assert [one["mac_address"] for one in netbox.macs] == ["52:54:00:77:00:09", "52:54:00:77:00:0b"]
        assert len(netbox.cables) == 2
        assert {one["address"] for one in netbox.addresses} == {"10.77.0.50/24", "10.77.0.52/24"}
        assert [one["primary_ip4"]["address"] for one in netbox.devices[:3:2]] == ["10.77.0.50/24", "10.77.0.52/24"]
        status, again = typed(capsys, *words)
        assert (status, "netbox: 0 changes" in again, "leaf-1 swp9" in again) == (0, True, True)
    macs = {one.name: one.mac for one in asyncio.run(link(netbox).read("zurich")).devices}
    assert macs["node-0"] == "52:54:00:77:00:01", "of several ports the one with the primary address boots"


def test_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(capsys, "netbox", "import", "--file", str(tmp_path / "x"))[0] == 2
    status, said = typed(capsys, "netbox", "import", "--file", str(tmp_path / "x"), "--site", "z")
    assert (status, "where is NetBox?" in said) == (2, True)
    table = str(GOLDEN / "devices.csv")
    status, said = typed(capsys, "netbox", "import", "--file", str(tmp_path / "x"), "--csv", table)
    assert (status, "+ node-0" in said) == (0, True)


def test_the_fake_answers_as_netbox_does(netbox: FakeNetBox) -> None:
    """Its contract: pages cover everything once, in order; a PATCH changes what is read."""
    found: Read = asyncio.run(link(netbox).read("zurich"))
    netbox.page = 100
    assert asyncio.run(link(netbox).read("zurich")) == found
    asyncio.run(link(netbox).patch_devices({3: b'{"serial":"NEW"}'}))
    assert asyncio.run(link(netbox).read("zurich")).devices[2].serial == "NEW"
