from ipaddress import IPv4Address
from pathlib import Path
from uuid import UUID

import pytest

from pxe.__main__ import describe, explain, main
from pxe.boot import LocalDisk
from pxe.client import Arch, Mac, Stage
from pxe.dhcp.address import Address, Hardware
from pxe.dhcp.conflict import AddressInUse
from pxe.dhcp.event import DhcpEvent
from pxe.dhcp.exchange import Kind
from pxe.dhcp.flood import FloodAlarm
from pxe.dhcp.rivals import Active, Foreign, Passive, RivalGone, RivalSeen, Stands, Starting
from pxe.dhcp.watch import ProxyIgnored, Why
from pxe.errors import ConfigError
from pxe.http.server import HttpEvent
from pxe.routes import ScriptEvent
from pxe.service import PxeEvent

MAC = Mac("52:54:00:00:00:01")
CLIENT = IPv4Address("10.9.0.50")


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            DhcpEvent(
                kind=Kind.OFFER,
                hardware=Hardware(bytes(MAC)),
                stage=Stage.FIRMWARE,
                arch=Arch.EFI_X64,
                given=Address(CLIENT.packed),
                file=b"snponly.efi",
            ),
            "dhcp kind=offer mac=52:54:00:00:00:01 stage=firmware arch=efi_x64 address=10.9.0.50 filename=snponly.efi",
        ),
        (
            HttpEvent(client=CLIENT, method="GET", path="/a\n b", status=200, sent=5, total=7, seconds=0.25),
            "http client=10.9.0.50 method=GET path='/a\\n b' status=200 sent=5 total=7 seconds=0.250",
        ),
        (
            ScriptEvent(mac=MAC, uuid=UUID(int=1), intent=LocalDisk, address=CLIENT),
            "script mac=52:54:00:00:00:01 uuid=00000000-0000-0000-0000-000000000001 intent=LocalDisk address=10.9.0.50",
        ),
    ],
)
def test_event_is_one_line(event: PxeEvent, line: str) -> None:
    assert describe(event) == line


FOREIGN = Foreign(server=IPv4Address("10.9.0.3"), mac=bytes(MAC), vendor="")
PASSIVE = Passive(identity=bytes(16), mac=bytes(MAC))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Stands(standing=Starting()), ("rivals: ", "no machine is answered yet")),
        (Stands(standing=Active()), ("rivals: ", "DHCP is served")),
        (Stands(standing=PASSIVE), ("another appliance", "52:54:00:00:00:01", "answers nothing")),
        (Stands(standing=FOREIGN), ("already serves", "10.9.0.3", "52:54:00:00:00:01", "proxy mode")),
        (RivalSeen(rival=FOREIGN), ("a second DHCP server 10.9.0.3", "52:54:00:00:00:01", "stop it")),
        (RivalGone(rival=FOREIGN), ("10.9.0.3", "not been heard")),
        (RivalGone(rival=PASSIVE), ("52:54:00:00:00:01", "take over")),
        (AddressInUse(address=CLIENT, holder=MAC), ("addressinuse: 52:54:00:00:00:01 answers for 10.9.0.50",)),
        (AddressInUse(address=CLIENT, holder=None), ("a machine behind a relay answers for 10.9.0.50",)),
        (FloodAlarm(reason="too many", sender="00:01", refused=3), ("floodalarm: too many: 3 dropped", "00:01")),
        (
            ProxyIgnored(mac=MAC, arch=None, why=Why.NO_REQUEST, advice="set option 67"),
            ("proxyignored: 52:54:00:00:00:01 takes no offer: set option 67",),
        ),
    ],
)
def test_what_guards_tell_is_a_sentence(event: PxeEvent, words: tuple[str, ...]) -> None:
    line = describe(event)
    assert "\n" not in line
    assert [word for word in words if word not in line] == [], line


def test_error_is_one_line() -> None:
    assert explain(ConfigError("a", next_action="b")) == "a; b"


def test_check_says_what_is_wrong(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "pxe.toml"
    path.write_text("address = 1\n")
    assert main([str(path), "--check"]) == 2
    assert "address: not of type str; 1; " in caplog.text
