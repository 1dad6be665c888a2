"""The appliance image on real firmware: from power-on to the first admin, and from there to a provisioned rack."""

from pathlib import Path

import pytest

from appliance.client import Client
from appliance.dial import https_dial
from appliance.lab.spec import UefiKind
from appliance.model.access_views import SetupRequest
from appliance.model.hardware import Firmware
from tests.image.conftest import Bench, bench

pytestmark = [pytest.mark.rack, pytest.mark.timeout(3000)]

ADDRESS = "10.77.0.2"
ASKED, READY = 900.0, 900.0
"""Seconds, emulated on a machine that is busy; a server needs a tenth."""


def answer(at: Bench) -> None:
    """The five questions, and that of a computer without a TPM."""
    bmcs = " ".join(node.bmc.url for node in at.servers)
    for question, answer in (
        (r"Passphrase, .*: ", ""),
        (r"Type unencrypted .*: ", "unencrypted"),
        (r"1/5 .*: ", "1"),
        (r"2/5 .*\]: ", f"{ADDRESS}/23"),
        (r"3/5 .*\): ", bmcs),
        (r"4/5 .*: ", at.servers[0].bmc.user),
        (r"5/5 .*: ", at.servers[0].bmc.password.reveal()),
    ):
        at.line.expect(question, ASKED)
        at.line.type(answer)


def greeted(at: Bench) -> tuple[str, str]:
    """Fingerprint and setup code, as the screen shows them."""
    at.line.expect(rf"Ready: https://{ADDRESS}/", READY)
    shown = at.line.expect(r"SHA-256\s+([0-9a-f]{64})\s+.*the setup code (\S+) makes", READY)
    return shown[1], shown[2]


@pytest.mark.parametrize(
    ("firmware", "uefi"),
    [(Firmware.BIOS, UefiKind.PXE), (Firmware.UEFI, UefiKind.PXE), (Firmware.UEFI, UefiKind.SECURE)],
    ids=["bios", "uefi", "secure-boot"],
)
def test_from_power_on_to_the_first_admin(image: Path, tmp_path: Path, firmware: Firmware, uefi: UefiKind) -> None:
    with bench(image, tmp_path, firmware, uefi) as at:
        answer(at)
        enter(at)
        for node in at.servers:
            assert node.bmc.url in at.line.text
        assert at.servers[0].bmc.password.reveal() not in at.line.text


def enter(at: Bench) -> None:
    """As the first admin, from another computer."""
    fingerprint, code = greeted(at)
    dial = https_dial(f"https://{ADDRESS}", "", fingerprint, None)
    request = SetupRequest(name="ann", code=code, password="correct horse battery")
    user = at.rack.inside(lambda: Client(dial).set_up(request))
    assert user.name == "ann"


STICK = """\
address  = "10.77.0.2/23"
bmcs     = ["10.77.1.10", "10.77.1.11"]
user     = "admin"
password = "as-delivered"
rack     = "r12"
disk     = "plain"
"""


@pytest.mark.long
def test_a_stick_with_answers_leaves_no_question(image: Path, tmp_path: Path) -> None:
    with bench(image, tmp_path, Firmware.UEFI, UefiKind.PXE, STICK) as at:
        enter(at)
        assert "1/5" not in at.line.text


F3 = "\x1bOR"
DISCOVERED, INSTALLED = 1200.0, 1200.0


@pytest.mark.long
def test_the_stick_provisions_a_rack_that_has_nothing_else(image: Path, tmp_path: Path) -> None:
    """By keys on the appliance's serial port; the only other things on the network are two bare servers and BMCs."""
    with bench(image, tmp_path, Firmware.UEFI, UefiKind.PXE) as at:
        answer(at)
        greeted(at)
        at.line.press(F3)
        at.line.expect("Nothing is destroyed", READY)
        for question in ("Nothing is destroyed", "These steps destroy"):
            shown = at.line.expect(question, DISCOVERED)
            at.line.press("y")
            at.line.expect(r"Type the site's name \(rack\)", READY, after=shown.end())
            at.line.type("rack")
        at.line.expect(r"Run [0-9a-f]+ is done", INSTALLED, after=shown.end())
        for node in at.servers:
            assert "login:" in node.spec.console.read_text(errors="replace")
