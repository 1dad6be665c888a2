"""The button, pressed in a browser before a real rack: from the first admin to machines that answer.

With INNERVATE_SCREENS=FOLDER every stage is also kept as a picture; those of docs/screens were made so.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from appliance.client import Client
from appliance.lab.demo import daemon, daemon_config, make_key, wait_until_ready
from appliance.lab.rack import Rack
from appliance.lab.spec import BRIDGE_ADDRESS, BmcKind, RackFirmware, RackSpec
from appliance.model.hardware import Firmware
from appliance.model.phase import Phase
from tests.web.conftest import CHROMIUM

pytestmark = [pytest.mark.rack, pytest.mark.long, pytest.mark.timeout(1200)]

PORT = 8443
PASSWORD = "correct horse battery"
DISCOVERED, INSTALLED = 300_000.0, 600_000.0
"""Milliseconds; a quiet machine needs a tenth."""


@pytest.fixture
def rack(rack_firmware: RackFirmware, tmp_path: Path) -> Iterator[tuple[Rack, Client]]:
    """One machine with a Redfish BMC, one that knows IPMI only; the daemon answers browsers."""
    key, bmcs = make_key(tmp_path), (BmcKind.REDFISH, BmcKind.IPMI)
    spec = RackSpec(nodes=2, firmware=Firmware.UEFI, workdir=tmp_path, files=rack_firmware, bmcs=bmcs)
    with Rack.start(spec) as started:
        config = daemon_config(tmp_path, socket=tmp_path / "api.sock", key=key, https_port=PORT)
        with daemon(started, config, tmp_path) as process:
            client = Client(tmp_path / "api.sock")
            wait_until_ready(client.health, lambda: process.poll() is None, tmp_path / "daemon.log")
            yield started, client


@pytest.fixture
def page(rack: tuple[Rack, Client], tmp_path: Path) -> Iterator[Page]:
    """A browser in the rack's network."""
    if CHROMIUM is None:
        pytest.skip("THE BUTTON IS NOT PRESSED: install chromium")
    inside = tmp_path / "browser"
    inside.write_text(f'#!/bin/sh\nexec nsenter --net={rack[0].network} -- {CHROMIUM} "$@"\n')
    inside.chmod(0o755)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=inside, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 800})
        yield context.new_page()
        browser.close()


class Screens:
    def __init__(self) -> None:
        self._folder = os.environ.get("INNERVATE_SCREENS")
        self._count = 0

    def take(self, page: Page, name: str) -> None:
        self._count += 1
        if self._folder:
            page.screenshot(path=Path(self._folder) / f"{self._count}-{name}.png")


def test_the_button_on_real_firmware(rack: tuple[Rack, Client], page: Page) -> None:
    client, screens = rack[1], Screens()
    page.goto(f"https://{BRIDGE_ADDRESS.ip}:{PORT}/")
    screens.take(page, "first-admin")
    page.get_by_label("Code").fill(client.setup().code)
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()
    expect(page.locator("#counts")).to_contain_text("2 unknown")
    screens.take(page, "rack")
    page.get_by_role("button", name="Provision rack").click()
    expect(page.locator("#run table")).to_contain_text("boot node-1 into the discovery system")
    screens.take(page, "discovery")
    expect(page.get_by_label("Type lab to begin")).to_be_visible(timeout=DISCOVERED)
    serials = {machine.disks[0].serial for machine in client.machines().machines}
    for serial in serials:
        expect(page.locator(".lost")).to_contain_text(serial)
    screens.take(page, "plan")
    page.get_by_label("Type lab to begin").fill("lab")
    page.get_by_role("button", name="Begin").click()
    expect(page.locator("#run table")).to_contain_text("write debian-13", timeout=DISCOVERED)
    beside = page.context.new_page()
    beside.goto(f"https://{BRIDGE_ADDRESS.ip}:{PORT}/machines/node-0")
    expect(beside.locator("#panel progress")).to_be_visible(timeout=DISCOVERED)
    screens.take(beside, "writing")
    beside.goto(f"https://{BRIDGE_ADDRESS.ip}:{PORT}/")
    for name in ("node-0", "node-1"):
        expect(beside.locator(f"#cell-{name}")).to_contain_text("active", timeout=INSTALLED)
    screens.take(beside, "active")
    expect(page.locator("#run")).to_contain_text("smoke", timeout=DISCOVERED)
    expect(page.locator("#run .verdict")).to_contain_text("done", timeout=DISCOVERED)
    page.keyboard.press("3")
    expect(page.locator("#runs tbody tr")).to_have_count(2)
    page.locator("#runs tbody tr").first.get_by_role("link").click()
    expect(page.locator("#run .verdict")).to_contain_text("done")
    screens.take(page, "run")
    assert {machine.phase for machine in client.machines().machines} == {Phase.ACTIVE}
    page.goto(f"https://{BRIDGE_ADDRESS.ip}:{PORT}/machines/node-0")
    expect(page.locator("#log")).to_contain_text("installed system reports")
    screens.take(page, "machine")
