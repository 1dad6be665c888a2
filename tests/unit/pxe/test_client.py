import pytest

from pxe.client import Arch, Mac
from pxe.errors import PacketError


@pytest.mark.parametrize("text", ["52:54:00:AB:cd:01", "52-54-00-ab-cd-01", "525400ABCD01", " 5254.00ab.cd01\n"])
def test_mac_is_read_in_every_usual_spelling(text: str) -> None:
    assert Mac.parse(text) == Mac("52:54:00:ab:cd:01")
    assert bytes(Mac.parse(text)) == bytes.fromhex("525400abcd01")


@pytest.mark.parametrize("text", ["", "52:54:00:ab:cd", "52:54:00:ab:cd:01:02", "zz:54:00:ab:cd:01", "../../etc/pass"])
def test_what_is_not_a_mac_is_refused(text: str) -> None:
    with pytest.raises(PacketError):
        Mac.parse(text)


def test_mac_of_wrong_length_is_refused() -> None:
    with pytest.raises(PacketError):
        Mac.from_bytes(bytes(8))


def test_architecture_codes_are_those_of_iana() -> None:
    assert {arch.name: arch.value for arch in Arch} == {
        "BIOS": 0,
        "EFI_IA32": 6,
        "EFI_BC": 7,
        "EFI_X64": 9,
        "EFI_ARM64": 11,
        "HTTP_IA32": 15,
        "HTTP_X64": 16,
        "HTTP_ARM64": 19,
    }
