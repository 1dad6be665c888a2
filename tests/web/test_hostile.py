"""Text from hardware and networks runs no script, breaks no page and carries no escape, wherever a page shows it."""

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TypeVar

import pytest
from playwright.sync_api import Page, expect

from appliance.api.fake import FakeApplication
from appliance.model.cluster_views import ApiState, ClusterView, Membership
from appliance.model.views import MachineView
from tests.web.hostile import STRINGS
from tests.web.scenes import INSTALL, NOW, rack
from tests.web.serving import Serving, serving

T = TypeVar("T")

_OURS = frozenset({"name", "id", "machine", "run", "kind", "digest", "phase", "needs", "half", "face"})
"""Checked when the appliance takes them in: no hardware chooses these."""


@dataclass
class _Source:
    """Hands out the strings one after the other, from `at` on."""

    at: int = 0

    def next(self) -> str:
        self.at += 1
        return STRINGS[(self.at - 1) % len(STRINGS)]


def poisoned(value: T, source: _Source) -> T:
    """The same view with a hostile string wherever it has text."""
    if isinstance(value, str):
        return source.next()  # type: ignore[return-value]  # T is str
    if isinstance(value, tuple):
        return tuple(poisoned(one, source) for one in value)  # type: ignore[return-value]  # T is a tuple
    if isinstance(value, dict):
        return {source.next(): poisoned(one, source) for one in value.values()}  # type: ignore[return-value]
    if is_dataclass(value) and not isinstance(value, type):
        changed = {
            field.name: poisoned(getattr(value, field.name), source)
            for field in fields(value)
            if field.name not in _OURS
        }
        return replace(value, **changed)  # type: ignore[return-value]  # mypy sees any dataclass
    return value


def _machine(view: MachineView, source: _Source) -> MachineView:
    """Stages are the appliance's own words."""
    return replace(poisoned(view, source), stages=view.stages)


def _cluster(view: ClusterView, source: _Source) -> ClusterView:
    """How members stand is the appliance's own word; whatever a cluster or a balancer names may be anything."""
    silent = replace(poisoned(view.api, source), state=ApiState.SILENT, silent_since=NOW)
    changed = replace(poisoned(view, source), api=silent, waiting=(source.next(), source.next()))
    nodes = tuple(replace(poisoned(one, source), state=one.state) for one in view.nodes)
    stranger = replace(nodes[0], name=source.next(), state=Membership.STRANGER)
    return replace(changed, nodes=(*nodes, stranger), balancer=poisoned(view.balancer, source))


def scene(source: _Source) -> FakeApplication:
    application = rack()
    application.inventory = {name: _machine(view, source) for name, view in application.inventory.items()}
    application.explained = {name: poisoned(view, source) for name, view in application.explained.items()}
    steps = tuple(poisoned(step, source) for step in INSTALL.steps)
    application.systems = poisoned(application.systems, source)
    measured = application.bmc_desk.measured
    measured.update({name: poisoned(view, source) for name, view in measured.items()})
    stores = application.stores
    stores.shelf = [replace(poisoned(one, source), state=one.state) for one in stores.shelf]
    stores.network = poisoned(stores.network, source)
    stores.addresses = [
        replace(poisoned(one, source), address=one.address, state=one.state) for one in stores.addresses
    ]
    held = application.cluster_desk.held
    held.update({name: _cluster(view, source) for name, view in held.items()})
    plan = replace(INSTALL, steps=steps, roles=poisoned(INSTALL.roles, source), missing=(source.next(),))
    application.plans = [replace(plan, deferred=poisoned(INSTALL.deferred, source), site="lab")]
    return application


def _sane(page: Page, where: str) -> None:
    found = page.evaluate(
        "() => [window.pwned === undefined, document.title.includes('Innervate'),"
        " document.querySelectorAll('script').length, document.querySelectorAll('iframe,object,base,style').length,"
        " /[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202e]/.test(document.documentElement.outerHTML)]"
    )
    assert found == [True, True, 1, 0, False], (where, found)


def _visit(page: Page, served: Serving, application: FakeApplication) -> None:
    for path in (
        "/",
        "/machines",
        "/runs",
        "/events",
        "/images",
        "/networks",
        "/clusters",
        "/clusters/prod",
        "/report",
        "/machines/node-6/sensors",
        "/machines/node-6/screen",
        *(f"/machines/{name}" for name in application.inventory),
    ):
        page.goto(served.url + path)
        _sane(page, path)
    page.goto(served.url)
    page.get_by_role("button", name="Provision rack").click()
    expect(page.locator(".confirm")).to_be_visible()
    _sane(page, "plan")
    page.locator("#name").fill("lab")
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("heading", name="Run run-1")).to_be_visible()
    _sane(page, "run")


@pytest.mark.timeout(300)
def test_hostile_views(page: Page) -> None:
    """Each string stands at many places, and the places move on with every round."""
    assert len(set(STRINGS)) >= 200
    source = _Source()
    for _ in range(3):
        application = scene(source)
        with serving(application) as served:
            _visit(page, served, application)
    assert source.at > 3 * len(STRINGS)


def test_hostile_news(page: Page) -> None:
    """What comes over the live stream is put into a page that is open."""
    application = rack()
    with serving(application) as served:
        for path in ("/", "/machines", "/machines/node-5", "/events"):
            page.goto(served.url + path)
            source = _Source()
            for _ in range(4):
                application.inventory["node-5"] = _machine(rack().inventory["node-5"], source)
                application.explained["node-5"] = poisoned(rack().explained["node-5"], source)
                for text in STRINGS[source.at % 100 :][:20]:
                    served.do(application.tell("node-5", text))
            served.do(application.tell("node-5", f"the last one {path}"))
            if path in ("/events", "/machines/node-5"):
                expect(page.locator("#log")).to_contain_text(f"the last one {path}")
            _sane(page, path)


def test_hostile_addresses_and_forms(page: Page) -> None:
    """What a link or a form brings comes back as text, or not at all."""
    application = rack()
    with serving(application) as served:
        for text in STRINGS[::9]:
            quoted = page.evaluate("text => encodeURIComponent(text)", text)
            for place in ("machines?filter=", "report?filter=", "machines/", "runs/", "plans/"):
                path = f"/{place}{quoted}"
                page.goto(served.url + path)
                assert page.evaluate("() => window.pwned === undefined"), path
        page.goto(f"{served.url}/machines/node-6")
        page.get_by_label("Hold because").fill(STRINGS[0])
        page.get_by_role("button", name="Hold", exact=True).click()
        expect(page.locator(".condition.hold")).to_be_visible()
        _sane(page, "held")
    assert application.inventory["node-6"].conditions[0].since == NOW
