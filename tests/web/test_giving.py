"""Images, networks and addresses in a browser: what is shown, what changes while one looks, filters and a thousand."""

import statistics
import time
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from appliance.model.image_views import HashState
from appliance.model.network_views import HistoryView
from tests.web.conftest import serious
from tests.web.scenes import NETWORK, NETWORKS, history, leases, rack
from tests.web.serving import serving

SLOW = 1.0
"""Seconds until a list of a thousand can be used."""


def test_images(page: Page) -> None:
    application = rack()
    with serving(application) as served:
        page.goto(served.url)
        page.keyboard.press("5")
        row = page.get_by_role("row", name="debian-13")
        expect(row).to_contain_text("whole")
        expect(row).to_contain_text("and 4 more")
        expect(row.get_by_role("link", name="node-3")).to_have_attribute("href", "/machines/node-3")
        expect(page.get_by_role("row", name="ramdisk")).to_contain_text("missing")
        page.get_by_text("Artefacts of debian-13").click()
        expect(page.get_by_role("row", name="blob.zst")).to_contain_text("ef" * 32)
        application.stores.shelf[0] = replace(application.stores.shelf[0], state=HashState.CHANGED)
        served.do(application.tell("node-1", "written"))
        expect(row).to_contain_text("changed")
        expect(page.get_by_role("row", name="blob.zst")).to_be_visible()


def test_networks_change_while_one_looks(page: Page) -> None:
    application = rack()
    with serving(application) as served:
        page.goto(served.url)
        page.keyboard.press("6")
        row = page.get_by_role("row", name=f"{NETWORK} br0")
        expect(row).to_contain_text("42 of 100, 42%")
        expect(page.locator("#networks")).to_contain_text("This appliance stands back")
        expect(page.get_by_role("row", name="10.77.0.254")).to_contain_text("now")
        expect(page.get_by_role("img", name="Bytes sent a second, over 9m40s: HTTP now 12 MB/s")).to_be_visible()
        expect(page.get_by_role("img", name="Addresses in use, of each pool")).to_contain_text("100%")
        page.locator("#pool-use summary").click()
        first = NETWORKS.networks[0]
        application.stores.network = replace(NETWORKS, networks=(replace(first, used=99),), serves=True, rivals=())
        served.do(application.tell("node-1", "has an address"))
        expect(row).to_contain_text("99 of 100")
        expect(page.locator("#networks")).to_contain_text("None was heard")
        sample = replace(history().samples[-1], time=history().samples[-1].time + 10, used={NETWORK: 99})
        application.stores.past = HistoryView(step=10.0, samples=(*history().samples, sample))
        application.stores.addresses = leases(1)
        expect(page.locator("#pool-use .legend")).to_contain_text("now 99%, at most 99%")
        expect(page.locator("#leases tr")).to_have_count(1)
        expect(page.locator("#pool-use details")).to_have_attribute("open", "")


def test_without_a_history_there_is_no_chart(page: Page) -> None:
    application = rack()
    application.stores.past = HistoryView(step=10.0)
    with serving(application) as served:
        page.goto(f"{served.url}/networks")
        expect(page.locator("#traffic")).to_contain_text("Nothing was measured yet")


def test_addresses_are_filtered_by_keyboard(page: Page) -> None:
    with serving(rack()) as served:
        page.goto(f"{served.url}/networks")
        expect(page.locator("#count")).to_have_text("12 of 12 addresses")
        page.get_by_label("State").focus()
        page.keyboard.type("declined")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#count")).to_have_text("2 of 2 addresses")
        expect(page.locator("#leases .stuck")).to_have_count(2)
        expect(page.get_by_label("State")).to_have_value("declined")
        page.goto(f"{served.url}/networks?state=lost")
        expect(page.get_by_text("no address is in that state")).to_be_visible()


@pytest.mark.alone
def test_a_thousand_addresses_can_be_used_at_once(page: Page) -> None:
    application = rack()
    application.stores.addresses = leases(1000)
    with serving(application) as served:
        took = []
        for _ in range(5):
            began = time.monotonic()
            page.goto(f"{served.url}/networks", wait_until="domcontentloaded")
            page.get_by_label("State").press("b")
            took.append(time.monotonic() - began)
        expect(page.locator("#count")).to_have_text("250 of 1000 addresses")
        page.get_by_role("link", name="Show 750 more").click()
        expect(page.locator("#leases tr")).to_have_count(1000)
    assert statistics.median(took) <= SLOW, took


def test_a_step_says_how_it_comes_along(page: Page) -> None:
    application = rack()
    now = time.time()
    machine = application.inventory["node-5"]
    assert machine.step is not None
    step = replace(machine.step, started=now - 70, usual=55.0)
    application.inventory["node-5"] = replace(machine, step=step)
    with serving(application) as served:
        page.goto(f"{served.url}/machines/node-5")
        expect(page.locator(".step")).to_contain_text("deploying, step 3 of 7, running: write debian-13")
        expect(page.locator(".pace")).to_contain_text(
            "about 16s left; 95 of 100 like it took at most 55s, so this one is"
        )
        expect(page.locator(".step")).to_contain_text("3.2 GB of 8.6 GB, 320 MB/s")
        application.inventory["node-5"] = replace(machine, step=replace(step, started=now - 5), step_number=4)
        served.do(application.tell("node-5", "began"))
        expect(page.locator(".step")).to_contain_text("step 4 of 7")
        expect(page.locator(".pace")).not_to_contain_text("late")


def test_sensors(page: Page) -> None:
    application = rack()
    with serving(application) as served:
        page.goto(f"{served.url}/machines/node-6")
        page.get_by_role("link", name="Sensors").click()
        expect(page.get_by_role("row", name="temperature 1")).to_contain_text("41.5 °C")
        expect(page.get_by_role("row", name="fan 1")).to_contain_text("41.5 rpm")
        expect(page.get_by_role("row", name="Inlet")).to_contain_text("none now")
        assert not serious(page)
        application.bmc_desk.measured.clear()
        page.reload()
        expect(page.get_by_text("no machine with sensors is called node-6")).to_be_visible()
