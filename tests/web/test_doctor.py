"""What the doctor finds: on its page, and before a plan begins."""

import pytest
from playwright.sync_api import Page, expect

from appliance.api.fake import FakeApplication
from appliance.api.fake_doctor import FakeDoctor
from appliance.api.fake_findings import DEAD_BMC, FINDINGS, NO_LINK, ROGUE_DHCP, SLOW_PORT
from appliance.model.doctor import Finding
from appliance.model.views import PlanView, StepView
from tests.web.conftest import serious
from tests.web.serving import serving

STEP = StepView(
    id="write-0",
    machine="node-0",
    score="debian",
    summary="write debian-13 to DISK0001",
    kind="destructive",
    budget=600,
)
PLAN = PlanView(digest="ab" * 32, site="lab", steps=(STEP,), deferred=(), purpose="provision the site")
HARMLESS = PlanView(
    digest="cd" * 32,
    site="lab",
    steps=(StepView(id="read-0", machine="node-0", score="discover", summary="read", kind="read", budget=60),),
    deferred=(),
    purpose="provision the site",
)


def rack(*found: Finding, plan: PlanView = PLAN) -> FakeApplication:
    return FakeApplication(doctor_desk=FakeDoctor(finds=found), plans=[plan])


@pytest.mark.parametrize("name", FINDINGS)
def test_each_finding_names_cause_and_next_action(name: str, page: Page) -> None:
    finding = FINDINGS[name]
    with serving(rack(finding)) as served:
        page.goto(f"{served.url}/doctor")
        page.get_by_role("button", name="Examine").click()
        told = page.locator(".condition")
        for text in (finding.cause, f"next: {finding.next_action}", finding.command):
            expect(told).to_contain_text(text)
        assert not serious(page)


def test_a_failure_of_the_site_has_to_be_confirmed(page: Page) -> None:
    with serving(rack(ROGUE_DHCP, DEAD_BMC, SLOW_PORT)) as served:
        page.goto(served.url)
        page.get_by_role("button", name="Provision rack").click()
        found = page.locator("#findings")
        expect(found).to_contain_text(ROGUE_DHCP.cause)
        expect(found).to_contain_text(SLOW_PORT.next_action)
        expect(found).not_to_contain_text(DEAD_BMC.machine)  # it is not in the plan
        page.get_by_label("Type lab to begin").fill("lab")
        page.get_by_role("button", name="Begin").click()
        expect(page).to_have_url(f"{served.url}/plans/{PLAN.digest}")
        page.get_by_label("Begin anyway").check()
        assert not serious(page)
        page.get_by_role("button", name="Begin").click()
        expect(page).to_have_url(f"{served.url}/runs/run-1")


def test_a_form_without_the_box_begins_nothing(page: Page) -> None:
    """The browser's own check is not what keeps it."""
    with serving(rack(ROGUE_DHCP)) as served:
        page.goto(served.url)
        page.get_by_role("button", name="Provision rack").click()
        expect(page.get_by_label("Begin anyway")).to_be_visible()
        page.get_by_label("Type lab to begin").fill("lab")
        page.evaluate("document.getElementById('anyway').remove()")
        page.get_by_role("button", name="Begin").click()
        expect(page.get_by_role("alert")).to_contain_text(f"not applied: {ROGUE_DHCP.cause}")


def test_the_box_accepts_what_was_read_and_nothing_else(page: Page) -> None:
    application = rack(ROGUE_DHCP)
    with serving(application) as served:
        page.goto(served.url)
        page.get_by_role("button", name="Provision rack").click()
        page.get_by_label("Begin anyway").check()
        page.get_by_label("Type lab to begin").fill("lab")
        application.doctor_desk.finds = (ROGUE_DHCP, NO_LINK)
        page.get_by_role("button", name="Begin").click()
        expect(page.get_by_role("alert")).to_contain_text(f"not applied: {NO_LINK.cause}")


def test_a_warning_stops_nobody(page: Page) -> None:
    with serving(rack(SLOW_PORT)) as served:
        page.goto(served.url)
        page.get_by_role("button", name="Provision rack").click()
        expect(page.locator("#findings")).to_contain_text(SLOW_PORT.cause)
        page.get_by_label("Type lab to begin").fill("lab")
        page.get_by_role("button", name="Begin").click()
        expect(page).to_have_url(f"{served.url}/runs/run-1")


def test_what_destroys_nothing_begins_at_once_unless_something_stands_in_the_way(page: Page) -> None:
    with serving(rack(SLOW_PORT, plan=HARMLESS)) as served:
        page.goto(served.url)
        page.get_by_role("button", name="Provision rack").click()
        expect(page).to_have_url(f"{served.url}/runs/run-1")
    with serving(rack(ROGUE_DHCP, plan=HARMLESS)) as served:
        page.goto(served.url)
        page.get_by_role("button", name="Provision rack").click()
        expect(page).to_have_url(f"{served.url}/plans/{HARMLESS.digest}")
        expect(page.locator("#findings")).to_contain_text(ROGUE_DHCP.cause)
