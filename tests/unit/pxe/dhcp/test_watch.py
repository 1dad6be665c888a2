"""Firmware that ignores proxy offers is named once, with the options to set; firmware that follows never is."""

from ipaddress import IPv4Address

import pytest

from pxe.client import Arch, Mac
from pxe.dhcp.watch import ProxyIgnored, ProxyWatch, Why

MAC = Mac("52:54:00:00:00:01")
SERVER = IPv4Address("10.0.0.1")
ADDRESS = IPv4Address("10.0.0.50")
FILE = "snponly.efi"


def watched(*offers: float) -> ProxyWatch:
    watch = ProxyWatch(SERVER)
    for now in offers:
        watch.offered(MAC, Arch.EFI_X64, FILE, now)
    return watch


def ticks(watch: ProxyWatch, start: int, end: int) -> list[ProxyIgnored]:
    return [event for now in range(start, end) for event in watch.tick(now)]


def test_repeated_discovers_are_named_with_advice() -> None:
    (event,) = ticks(watched(0, 4, 12, 28), 28, 200)
    assert (event.mac, event.arch, event.why) == (MAC, Arch.EFI_X64, Why.NO_REQUEST)
    for words in ('option 66 "10.0.0.1"', 'option 67 "snponly.efi"', "full DHCP mode"):
        assert words in event.advice


def test_advice_for_http_boot_names_the_url() -> None:
    watch = ProxyWatch(SERVER)
    for now in (0, 4, 12, 28):
        watch.offered(MAC, Arch.HTTP_X64, "http://10.0.0.1/nbp/snponly.efi", now)
    (event,) = ticks(watch, 28, 40)
    assert 'option 60 "HTTPClient" and option 67 "http://10.0.0.1/nbp/snponly.efi"' in event.advice


@pytest.mark.parametrize("offers", [(0,), (0, 4), (0, 4, 12)], ids=str)
def test_slow_start_is_no_complaint(offers: tuple[float, ...]) -> None:
    assert ticks(watched(*offers), 0, 27) == []


def test_lease_of_the_other_server_without_a_file_is_named() -> None:
    watch = watched(0)
    watch.requested(MAC, ADDRESS, 3)
    (event,) = ticks(watch, 3, 100)
    assert event.why is Why.NOT_FOLLOWED


def test_asking_on_port_4011_or_coming_back_as_ipxe_is_following() -> None:
    watch = watched(0, 4, 12)
    watch.requested(MAC, ADDRESS, 13)
    watch.followed(MAC)
    assert ticks(watch, 13, 200) == []


def test_fetching_a_file_is_following() -> None:
    watch = watched(0)
    watch.requested(MAC, ADDRESS, 3)
    watch.fetched(IPv4Address("10.0.0.51"))
    watch.fetched(ADDRESS)
    assert ticks(watch, 3, 200) == []


def test_one_event_for_each_machine_until_it_follows() -> None:
    watch = watched(0, 4, 12, 28)
    assert len(ticks(watch, 28, 60)) == 1
    for boot in (200, 400):
        for second in (0, 4, 12, 28):
            watch.offered(MAC, Arch.EFI_X64, FILE, boot + second)
    assert ticks(watch, 400, 600) == []
    watch.followed(MAC)
    for second in (0, 4, 12, 28):
        watch.offered(MAC, Arch.EFI_X64, FILE, 1000 + second)
    assert len(ticks(watch, 1028, 1100)) == 1


def test_a_later_boot_starts_afresh() -> None:
    assert ticks(watched(0, 300, 600), 600, 640) == []


def test_memory_is_bounded() -> None:
    watch = ProxyWatch(SERVER)
    for number in range(10_000):
        for now in (0, 4, 12, 28):
            watch.offered(Mac.from_bytes(number.to_bytes(6)), Arch.BIOS, FILE, now)
    assert len(ticks(watch, 28, 30)) == 4096
    for number in range(10_000):
        watch.offered(Mac.from_bytes(number.to_bytes(6)), Arch.BIOS, FILE, 100)
    assert len(watch._told) == 4096
    assert len(watch._waiting) <= 4096
