"""The site program in a browser: what is on disk, whether it is sound, what differs; for operators."""

from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from appliance.access.model import Role
from appliance.api.fake import PROGRAM
from appliance.model.site_views import SiteChangeView, SiteCheckView, SiteFaultView
from appliance.model.views import PlanView, StepView
from appliance.model.words import RETIREMENT
from tests.web.conftest import serious
from tests.web.hostile import STRINGS
from tests.web.scenes import rack
from tests.web.serving import serving
from tests.web.site import Site, log_in

CHANGED = replace(
    PROGRAM,
    source="import x\n\nsite = Site()\n",
    changed=True,
    diff="--- site.py (runs)\n+++ site.py (on disk)\n@@ -1 +1,3 @@\n+import x\n+\n site = Site()\n-gone",
    machines_added=("node-8",),
    machines_removed=("node-9",),
    changes=(
        SiteChangeView(
            change="changed",
            machine="node-2",
            kind="destructive",
            summary="write b to DISK1",
            before="write a to DISK1",
        ),
    ),
    advice="restart the daemon for it to take effect",
)
FAULT = SiteFaultView(message="site.py: invalid syntax", where="/etc/site.py:2", next_action="correct the line")
BAD = replace(CHANGED, check=SiteCheckView(fault=FAULT), changes=(), advice="correct the program first")


def test_what_runs(page: Page) -> None:
    with serving(rack()) as served:
        page.goto(served.url)
        page.keyboard.press("s")
        expect(page.get_by_role("heading", name="Site program")).to_be_visible()
        expect(page.get_by_role("heading", name="It is the one that runs")).to_be_visible()
        expect(page.get_by_text("lab: 1 machines, 1 scores")).to_be_visible()
        expect(page.locator("#line-1")).to_contain_text("site = Site()")


def test_what_would_be_otherwise(page: Page) -> None:
    application = rack()
    application.site_program = CHANGED
    with serving(application) as served:
        page.goto(f"{served.url}/site")
        expect(page.get_by_text("Restart the daemon for it to take effect.")).to_be_visible()
        row = page.get_by_role("row", name="node-2")
        expect(row).to_contain_text("destroys: write b to DISK1 (was: write a to DISK1)")
        expect(page.get_by_text("Machines that come: node-8")).to_be_visible()
        assert page.locator("pre.program").inner_text().splitlines() == CHANGED.diff.splitlines()
        expect(page.locator("table.program tr")).to_have_count(3)
        application.site_program = BAD
        page.reload()
        expect(page.get_by_role("heading", name="The program on disk is not sound")).to_be_visible()
        expect(page.locator(".condition")).to_contain_text("seen: /etc/site.py:2")
        expect(page.locator(".condition")).to_contain_text("next: correct the line")


def test_its_end_begins_with_a_plan_and_the_sites_name(page: Page) -> None:
    application = rack()
    step = StepView(
        id="decommission.node-0.wipe",
        machine="node-0",
        score="decommission",
        summary="erase DISK1",
        kind="destructive",
        budget=60,
    )
    plan = PlanView(digest="e" * 64, site="lab", steps=(step,), deferred=(), purpose=RETIREMENT)
    application.retirements = [plan]
    with serving(application) as served:
        page.goto(f"{served.url}/site")
        page.get_by_role("button", name="Plan to retire the site").click()
        expect(page).to_have_url(f"{served.url}/plans/{plan.digest}")
        expect(page.get_by_text("erase DISK1").first).to_be_visible()
        assert not application.runs().runs
        page.get_by_role("textbox").fill("node-0")
        page.get_by_role("textbox").press("Enter")
        expect(page.get_by_text("type lab, letter by letter").first).to_be_visible()
        assert not application.runs().runs
        page.get_by_role("textbox").fill("lab")
        page.get_by_role("textbox").press("Enter")
        expect(page).to_have_url(f"{served.url}/runs/run-1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of the two
    application = rack()
    with serving(application) as served:
        for view in (PROGRAM, CHANGED, BAD):
            application.site_program = view
            page.goto(f"{served.url}/site")
            assert not serious(page)


def test_hostile_text(page: Page) -> None:
    application = rack()
    text = "\n".join(STRINGS)
    fault = SiteFaultView(message=text, where=text, next_action=text)
    changes = tuple(SiteChangeView(change=s, machine=s, kind=s, summary=s, before=s) for s in STRINGS)
    hostile = replace(CHANGED, source=text, diff=text, path=text, advice=text, machines_added=STRINGS, changes=changes)
    with serving(application) as served:
        for view in (
            replace(hostile, check=SiteCheckView(fault=fault)),
            replace(hostile, check=SiteCheckView(summary=text)),
            replace(hostile, plan_problem=text),
        ):
            application.site_program = view
            page.goto(f"{served.url}/site")
            expect(page.get_by_role("heading", name="Site program")).to_be_visible()
            assert page.evaluate("() => window.pwned === undefined")
            assert page.locator("main script, main img, main iframe").count() == 0


def test_operators_see_it_and_viewers_do_not(site: Site, visitor: Page) -> None:
    site.add(Role.OPERATOR)
    site.add(Role.VIEWER)
    status, _, body = site.ask("GET", "/site", Cookie=site.cookie("viewer"))
    assert (status, b"this needs the role operator" in body) == (403, True)
    log_in(visitor, site, "operator")
    visitor.get_by_role("link", name="Site").click()
    expect(visitor.get_by_role("heading", name="Site program")).to_be_visible()


def test_scores_are_reloaded_by_an_admin(site: Site, visitor: Page) -> None:
    site.add(Role.ADMIN)
    site.add(Role.OPERATOR)
    site.application.site_program = replace(CHANGED, reloadable=True, digest="d" * 64)
    log_in(visitor, site, "operator")
    visitor.goto(f"{site.url}/site")
    expect(visitor.get_by_role("heading", name="It is not the one that runs")).to_be_visible()
    expect(visitor.get_by_role("button", name="Run what is on disk")).to_be_hidden()
    visitor.context.clear_cookies()
    log_in(visitor, site, "admin")
    visitor.goto(f"{site.url}/site")
    site.application.site_program = replace(site.application.site_program, digest="e" * 64)
    visitor.get_by_role("button", name="Run what is on disk").click()
    expect(visitor.get_by_role("alert")).to_contain_text("the program on disk has changed since it was looked at")
    assert not serious(visitor)
    visitor.get_by_role("button", name="Run what is on disk").click()
    expect(visitor.get_by_role("heading", name="It is the one that runs")).to_be_visible()


def test_a_forged_reload_changes_nothing(site: Site) -> None:
    site.add(Role.ADMIN)
    site.add(Role.OPERATOR)
    site.application.site_program = before = replace(CHANGED, reloadable=True, digest="d" * 64)
    form, cookie = f"digest={'d' * 64}", site.cookie("admin")
    assert site.ask("POST", "/site/reload", form, Origin=site.url)[:2] == (303, "/login")
    assert site.ask("POST", "/site/reload", form, Cookie=cookie, Origin="https://evil.example")[0] == 403
    assert site.ask("POST", "/site/reload", form, Cookie=cookie)[0] == 403
    assert site.ask("POST", "/site/reload", form, Cookie=cookie, Origin=site.url)[0] == 403
    assert site.ask("POST", "/site/reload", form, Cookie=site.cookie("operator"), Origin=site.url)[0] == 403
    assert site.application.site_program == before
