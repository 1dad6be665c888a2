"""Which boot program a machine gets after what was seen of it."""

from ipaddress import IPv4Address

import pytest

from pxe.boot import PROGRAM_NAMES, Chain, LocalDisk
from pxe.client import Arch, Mac, Stage
from pxe.dhcp.address import Address, Hardware
from pxe.dhcp.event import DhcpEvent
from pxe.dhcp.exchange import Kind
from pxe.http.server import HttpEvent
from pxe.ladder import ChainChanged, Ladder
from pxe.routes import ScriptEvent
from pxe.tftp.responder import Outcome
from pxe.tftp.server import TftpEvent

MAC = Mac("52:54:00:00:00:01")
MACHINE = Hardware(bytes(MAC))
ADDRESS = IPv4Address("10.0.0.9")
Event = DhcpEvent | TftpEvent | HttpEvent | ScriptEvent


def dhcp(stage: Stage = Stage.FIRMWARE, arch: Arch | None = Arch.EFI_X64, kind: Kind = Kind.ACK) -> DhcpEvent:
    return DhcpEvent(kind=kind, hardware=MACHINE, stage=stage, arch=arch, given=Address(ADDRESS.packed))


def tftp(name: str, outcome: Outcome = Outcome.FINISHED, client: IPv4Address = ADDRESS) -> TftpEvent:
    return TftpEvent(client=client, name=name, outcome=outcome)


def http(path: str, method: str = "GET", status: int = 200, sent: int = 9) -> HttpEvent:
    return HttpEvent(client=ADDRESS, method=method, path=path, status=status, sent=sent, total=9, seconds=0.1)


SCRIPT = ScriptEvent(mac=MAC, uuid=None, intent=LocalDisk, address=ADDRESS)
REFUSED = (dhcp(), tftp("snponly.efi"))


class Seen:
    def __init__(
        self,
        *,
        stated: dict[Mac, Chain] | None = None,
        available: frozenset[str] = PROGRAM_NAMES,
        default: Chain | None = None,
    ) -> None:
        self.changes: list[ChainChanged] = []
        self.ladder = Ladder(stated=stated or {}, available=available, report=self.changes.append, default=default)

    def after(self, *events: Event) -> Chain:
        for event in events:
            self.ladder.observe(event)
        return self.ladder.chain_of(MACHINE)


def test_unknown_machine_gets_ipxe() -> None:
    assert Seen().after() is Chain.IPXE
    assert Seen().after(dhcp(arch=None)) is Chain.IPXE


def test_two_silent_boots_are_the_next_rung_and_one_report() -> None:
    seen = Seen()
    assert seen.after(*REFUSED) is Chain.IPXE
    assert seen.after(*REFUSED) is Chain.SIGNED
    assert seen.changes == []
    assert seen.after(dhcp()) is Chain.SIGNED
    (change,) = seen.changes
    assert (change.mac, change.chain, change.filename) == (MAC, Chain.SIGNED, "shimx64.efi")
    assert "snponly.efi 2 times" in change.reason
    assert "Secure Boot" in change.reason


def test_the_ladder_is_a_ring() -> None:
    seen = Seen()
    seen.after(*REFUSED * 2, *(dhcp(), tftp("shimx64.efi")) * 2)
    assert seen.after(dhcp()) is Chain.DRIVERS
    assert seen.after(tftp("ipxe.efi"), dhcp(), tftp("ipxe.efi")) is Chain.IPXE
    assert [change.chain for change in seen.changes] == [Chain.SIGNED, Chain.DRIVERS]


@pytest.mark.parametrize(
    "sign",
    [
        dhcp(Stage.IPXE),
        SCRIPT,
        tftp("autoexec.ipxe"),
        tftp("/grub/grub.cfg"),
        http("/nbp/autoexec.ipxe"),
        http("/grub/grub.cfg"),
    ],
)
def test_whoever_is_heard_of_stays(sign: Event) -> None:
    seen = Seen()
    for _ in range(3):
        assert seen.after(*REFUSED, sign) is Chain.IPXE
    assert seen.after(*REFUSED) is Chain.IPXE
    assert seen.changes == []


def test_heard_of_before_it_asks_again_takes_the_step_back() -> None:
    """The second boot was only slow."""
    assert Seen().after(*REFUSED, *REFUSED, dhcp(Stage.IPXE), dhcp()) is Chain.IPXE


def test_it_stays_where_it_was_heard_of() -> None:
    seen = Seen()
    signed = (dhcp(), tftp("shimx64.efi"), tftp("grub/grub.cfg"), SCRIPT)
    assert seen.after(*REFUSED * 2, *signed * 3) is Chain.SIGNED
    assert len(seen.changes) == 1


@pytest.mark.parametrize(
    "file",
    [
        tftp("snponly.efi", Outcome.PROBED),
        tftp("snponly.efi", Outcome.FAILED),
        tftp("snponly.efi", client=IPv4Address("10.0.0.10")),
        tftp("shimx64.efi"),
        http("/nbp/snponly.efi", method="HEAD"),
        http("/nbp/snponly.efi", sent=8),
        http("/nbp/snponly.efi", status=404),
    ],
)
def test_what_is_no_whole_fetch_of_its_program_is_no_evidence(file: Event) -> None:
    assert Seen().after(*(dhcp(), file) * 5) is Chain.IPXE


def test_one_boot_counts_once_however_often_it_fetches() -> None:
    assert Seen().after(dhcp(), *[tftp("snponly.efi")] * 5) is Chain.IPXE


@pytest.mark.parametrize("kind", [Kind.OFFER, Kind.NAK, Kind.IGNORED])
def test_only_a_granted_address_begins_a_boot(kind: Kind) -> None:
    assert Seen().after(*(dhcp(kind=kind), tftp("snponly.efi")) * 3) is Chain.IPXE


def test_firmware_that_goes_on_from_pxe_to_http_boot() -> None:
    over_http = (dhcp(Stage.HTTP_BOOT, Arch.HTTP_X64), http("/nbp/snponly.efi"))
    assert Seen().after(*REFUSED, *over_http) is Chain.SIGNED


def test_system_between_two_boots_proves_nothing() -> None:
    assert Seen().after(*REFUSED, dhcp(Stage.SYSTEM, None), *REFUSED) is Chain.SIGNED


def test_what_is_stated_wins() -> None:
    seen = Seen(stated={MAC: Chain.DRIVERS})
    assert seen.after(*REFUSED * 3, dhcp()) is Chain.DRIVERS
    assert seen.changes == []


def test_what_is_stated_of_all_others_wins_too() -> None:
    seen = Seen(default=Chain.SIGNED)
    assert seen.after(*REFUSED * 3, dhcp()) is Chain.SIGNED
    assert seen.changes == []
    assert Seen(stated={MAC: Chain.DRIVERS}, default=Chain.SIGNED).after(dhcp()) is Chain.DRIVERS


@pytest.mark.parametrize(
    ("arch", "available", "rung"),
    [
        (Arch.BIOS, PROGRAM_NAMES, Chain.DRIVERS),
        (Arch.EFI_X64, PROGRAM_NAMES - {"shimx64.efi"}, Chain.DRIVERS),
        (Arch.EFI_ARM64, PROGRAM_NAMES, Chain.DRIVERS),
    ],
)
def test_rungs_are_the_programs_that_there_are(arch: Arch, available: frozenset[str], rung: Chain) -> None:
    name = {Arch.BIOS: "undionly.kpxe", Arch.EFI_X64: "snponly.efi"}.get(arch, "ipxe-arm64.efi")
    assert Seen(available=frozenset(available)).after(*(dhcp(arch=arch), tftp(name)) * 2, dhcp(arch=arch)) is rung


def test_a_machine_without_another_rung_is_no_news() -> None:
    seen = Seen()
    seen.after(*(dhcp(arch=Arch.EFI_ARM64), tftp("ipxe-arm64.efi")) * 5)
    assert seen.changes == []


def test_memory_is_bounded() -> None:
    seen = Seen()
    seen.after(*REFUSED, *REFUSED)
    for number in range(4096):
        stranger = Hardware(b"\2" + number.to_bytes(5))
        seen.ladder.observe(dhcp()._replace(hardware=stranger, given=Address((1000 + number).to_bytes(4))))
    assert seen.after() is Chain.IPXE
