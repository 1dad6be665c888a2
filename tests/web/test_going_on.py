"""Whoever closes the page comes back to a plan that waits, or to a rack that is done."""

from playwright.sync_api import Page, expect

from appliance.api.fake import FakeApplication
from appliance.model.goal import ASK
from appliance.model.ids import PlanDigest, RunId
from appliance.model.views import RunState
from tests.web.scenes import DISCOVER, INSTALL, rack
from tests.web.serving import serving


async def discovered(application: FakeApplication) -> None:
    """By somebody who has gone."""
    plan = await application.make_plan()
    begun = await application.apply(PlanDigest(plan.digest), then=ASK)
    assert application.run(RunId(begun.id)).state is RunState.DONE


def test_what_waits_for_approval_stands_on_the_rack(page: Page) -> None:
    application = rack()
    with serving(application) as served:
        served.do(discovered(application))
        page.goto(served.url)
        expect(page.locator("#running")).to_contain_text("cannot go on before somebody approves what it destroys")
        page.get_by_role("link", name="show the plan").click()
        expect(page.get_by_role("heading", name="This destroys what is on")).to_be_visible()
        page.get_by_label("Type lab to begin").fill("lab")
        page.get_by_role("button", name="Begin").click()
        expect(page.get_by_role("heading", name="Run run-2")).to_be_visible()
    assert [run.plan for run in application.runs().runs] == [INSTALL.digest, DISCOVER.digest]


def test_it_can_be_left_as_it_is(page: Page) -> None:
    application = rack()
    with serving(application) as served:
        served.do(discovered(application))
        page.goto(served.url)
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Leave everything as it is").click()
        expect(page.locator("#running")).not_to_contain_text("approves")
    assert application.goals().goals == ()


def test_to_the_end_needs_the_name(page: Page) -> None:
    application = rack()
    with serving(application) as served:
        for typed in ("lap", "lab"):
            page.goto(served.url)
            page.get_by_text("Provision to the end", exact=True).first.click()
            page.get_by_label("Type lab to begin").fill(typed)
            page.get_by_role("button", name="Provision to the end").click()
            if typed != "lab":
                expect(page.locator("main")).to_contain_text("type lab, letter by letter, to begin")
                assert not application.runs().runs
        expect(page.get_by_role("heading", name="This destroys what is on")).to_be_visible()
        (goal,) = application.goals(every=True).goals
        assert (goal.consent.destroys.value, goal.by) == ("blank", "local:test")
