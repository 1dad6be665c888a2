"""A thousand machines and fifty people: how late a page shows what happened, and how long a page takes."""

import http.client
import json
import statistics
import threading
import time
from dataclasses import replace
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from appliance.api.fake import FakeApplication
from appliance.model.place import Place
from appliance.model.views import RunState, RunView
from tests.web.scenes import rack
from tests.web.serving import serving

pytestmark = pytest.mark.alone

MACHINES, VIEWERS, EVENTS = 1000, 50, 60
LATE, SLOW = 0.5, 1.0
"""Seconds: from the event to the page, 95 of 100; until the list of all machines can be used."""


def crowd() -> FakeApplication:
    application = rack()
    some = list(application.inventory.values())
    application.inventory = {
        name: replace(some[at % len(some)], name=name, place=Place(rack=f"r{at // 40:02}", unit=1 + at % 40))
        for at, name in enumerate(f"node-{at:04}" for at in range(MACHINES))
    }
    return application


class Viewer(threading.Thread):
    """Reads the live stream as a browser does, and notes when each event came."""

    def __init__(self, host: str, page: str, ready: threading.Barrier) -> None:
        super().__init__()
        self._host, self._page, self._ready = host, page, ready
        self.came: dict[str, float] = {}

    def run(self) -> None:
        connection = http.client.HTTPConnection(self._host, timeout=60)
        connection.request("GET", f"/live?page={quote(self._page, safe='')}")
        answer = connection.getresponse()
        while line := answer.readline():
            if line.startswith(b"data:") and len(line) > len(b"data:\n"):
                self._note(json.loads(line[5:]))
            if len(self.came) > EVENTS:
                break
        connection.close()

    def _note(self, message: dict[str, object]) -> None:
        if "first" not in self.came:
            self.came["first"] = time.monotonic()
            self._ready.wait()
        for text in map(str, message["log"] if isinstance(message["log"], list) else ()):
            self.came[text.split("number ")[1].split("<")[0]] = time.monotonic()


def test_fifty_viewers_see_what_happens_to_a_thousand_machines() -> None:
    application = crowd()
    with serving(application) as served:
        ready = threading.Barrier(VIEWERS + 1)
        viewers = [Viewer(served.url.removeprefix("http://"), "events", ready) for _ in range(VIEWERS)]
        for viewer in viewers:
            viewer.start()
        ready.wait(60)
        told: dict[str, float] = {}
        for number in range(EVENTS):
            told[str(number)] = time.monotonic()
            served.do(application.tell(f"node-{number:04}", f"number {number}"))
        for viewer in viewers:
            viewer.join(60)
    late = [viewer.came[number] - at for viewer in viewers for number, at in told.items()]
    assert len(late) == VIEWERS * EVENTS
    assert statistics.quantiles(late, n=20)[-1] <= LATE


def test_the_list_of_a_thousand_can_be_used_at_once(page: Page) -> None:
    """Drawn, laid out, and its filter takes a key. The median of five."""
    with serving(crowd()) as served:
        took = []
        for _ in range(5):
            began = time.monotonic()
            page.goto(f"{served.url}/machines", wait_until="domcontentloaded")
            page.locator("#filter").press("n")
            took.append(time.monotonic() - began)
        assert page.locator("#count").inner_text() == f"{MACHINES} of {MACHINES}"
        page.get_by_role("link", name="Show 750 more").click()
        expect(page.locator(".fleet tbody tr")).to_have_count(MACHINES)
    assert statistics.median(took) <= SLOW, took


@pytest.mark.parametrize("path", ["events", "runs"])
def test_no_other_long_list_takes_longer(page: Page, path: str) -> None:
    """Five thousand events, a thousand runs. The median of three."""
    application, took = crowd(), []
    plan = application.plans[-1]
    runs = (
        RunView(id=f"run-{at}", plan=plan.digest, state=RunState.DONE, started=1.0, ended=2.0, steps=plan.steps)
        for at in range(MACHINES)
    )
    application._runs = {run.id: run for run in runs}
    with serving(application) as served:
        for at in range(5 * MACHINES):
            served.do(application.tell(f"node-{at % MACHINES:04}", f"number {at}"))
        for _ in range(3):
            began = time.monotonic()
            page.goto(f"{served.url}/{path}", wait_until="domcontentloaded")
            page.keyboard.press("Tab")
            took.append(time.monotonic() - began)
        assert page.locator("main tr, main li").count() >= 20
    assert statistics.median(took) <= SLOW, took
