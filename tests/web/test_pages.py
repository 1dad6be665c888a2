"""People before the rack: the button, what changes while they look, the keyboard alone, and a screen reader's rules."""

from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from appliance.model.ids import PlanDigest, RunId
from appliance.model.phase import Phase
from appliance.model.standing import Standing, standing
from appliance.model.views import ProgressView
from tests.web.conftest import serious
from tests.web.scenes import INSTALL, WIPE, machines, rack
from tests.web.serving import serving

PAGES = ("/", "/machines", "/machines?filter=state:failed", "/machines/node-1", "/machines/node-5", "/machines/node-9")
MORE = (
    "/images",
    "/networks",
    "/networks?state=bound&all",
    "/clusters",
    "/clusters/prod",
    "/runs",
    "/events",
    "/keys",
    "/plans/" + "b" * 64,
    "/machines?filter=colour:red",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of the two
    with serving(rack()) as served:
        found = {}
        for path in (*PAGES, *MORE):
            page.goto(served.url + path)
            found[path] = serious(page)
        page.goto(served.url)
        page.get_by_role("button", name="Provision rack").click()
        expect(page.get_by_label("Type lab to begin")).to_be_visible()
        page.goto(f"{served.url}/runs/run-1")
        found["run"] = serious(page)
        page.goto(f"{served.url}/machines/node-6")
        page.get_by_label("Errand").select_option("wipe")
        page.get_by_role("button", name="Show the plan").click()
        found["plan"] = serious(page)
    assert not {path: troubles for path, troubles in found.items() if troubles}


def test_the_button(page: Page) -> None:
    """Discovery destroys nothing and begins at once; then the disks are shown, and the rack's name is to be typed."""
    with serving(rack()) as served:
        page.goto(served.url)
        page.get_by_role("button", name="Provision rack").click()
        expect(page.get_by_role("heading", name="This destroys what is on 2 disks")).to_be_visible()
        expect(page.get_by_text("node-6: write debian-13 to DISK0001")).to_be_visible()
        expect(page.get_by_text("Takes at least 14m: 1 of 4 steps was never timed here")).to_be_visible()
        page.get_by_label("Type lab to begin").fill("Lab")
        page.get_by_role("button", name="Begin").click()
        expect(page.get_by_role("alert")).to_contain_text("Nothing was done: type lab, letter by letter")
        page.get_by_label("Type lab to begin").fill("lab")
        page.get_by_role("button", name="Begin").click()
        expect(page.get_by_role("heading", name="Run run-2")).to_be_visible()
        expect(page.locator("#run")).to_contain_text("done")


def test_a_plan_that_is_stale_is_not_begun(page: Page) -> None:
    application = rack()
    application.errands[next(iter(application.errands))] = [WIPE, replace(WIPE, digest="e" * 64)]
    with serving(application) as served:
        for _ in range(2):
            page.goto(f"{served.url}/machines/node-6")
            page.get_by_label("Errand").select_option("wipe")
            page.get_by_role("button", name="Show the plan").click()
        page.goto(f"{served.url}/plans/{WIPE.digest}")
        page.get_by_label("Type node-6 to begin").fill("node-6")
        page.get_by_role("button", name="Begin").click()
        expect(page.get_by_role("alert")).to_contain_text("the plan is stale")
        assert not application.runs().runs


def test_what_happens_is_seen_without_a_reload(page: Page) -> None:
    application = rack()
    with serving(application) as served:
        page.goto(served.url)
        cell = page.locator("#cell-node-7")
        expect(cell).to_contain_text("unknown")

        async def discovered() -> None:
            application.inventory["node-7"] = replace(application.inventory["node-7"], phase=Phase.AVAILABLE)
            await application.tell("node-7", "hardware known")

        served.do(discovered())
        expect(cell).to_contain_text("idle")
        expect(page.locator("#said")).to_have_text("node-7 is idle")
        expect(page.locator("#counts")).to_contain_text("1 idle")


def test_progress_and_the_log_of_one_machine(page: Page) -> None:
    application = rack()
    with serving(application) as served:
        page.goto(f"{served.url}/machines/node-5")
        expect(page.locator("#panel")).to_contain_text("37%")
        progress = ProgressView(done=6 << 30, total=8 << 30, rate=3e8, eta=7.0)
        application.inventory["node-5"] = replace(application.inventory["node-5"], progress=progress)
        expect(page.locator("#panel")).to_contain_text("75%")
        served.do(application.tell("node-6", "of another"))
        served.do(application.tell("node-5", "block 7 <verified>"))
        expect(page.locator("#log li")).to_have_count(1)
        expect(page.locator("#log li")).to_contain_text("block 7 <verified>")


def test_an_appliance_that_is_away_is_said_to_be(page: Page) -> None:
    application = rack()
    with serving(application) as served:
        page.goto(served.url)
        expect(page.locator("#connection")).to_be_hidden()
    expect(page.locator("#connection")).to_be_visible()


def test_the_keyboard_alone(page: Page) -> None:
    application = rack()
    with serving(application) as served:
        page.goto(served.url)
        page.keyboard.press("2")
        expect(page.get_by_role("heading", name="Machines")).to_be_visible()
        page.keyboard.press("/")
        page.keyboard.type("node-6")
        page.keyboard.press("Enter")
        expect(page.locator("#count")).to_have_text("1 of 10")
        page.keyboard.press("Escape")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="node-6")).to_be_visible()
        page.keyboard.press("1")
        expect(page.get_by_role("heading", name="lab", exact=True)).to_be_visible()
        _tab_to(page, "Provision rack")
        page.keyboard.press("Enter")
        expect(page.get_by_label("Type lab to begin")).to_be_visible()
        _tab_to(page, "")
        page.keyboard.type("lab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Run run-2")).to_be_visible()


def _tab_to(page: Page, text: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        here = page.evaluate("() => [document.activeElement.textContent.trim(), document.activeElement.tagName]")
        if (text and here[0] == text) or (not text and here[1] == "INPUT"):
            return
    raise AssertionError(f"no {text or 'field'} is reached by Tab")


def test_many_at_once_and_who_refused(page: Page) -> None:
    application = rack()
    with serving(application) as served:
        page.goto(f"{served.url}/machines?filter=name:node-6,node-7")
        page.get_by_label("choose all that are shown").check()
        page.get_by_label("Reason").fill("moving house")
        del application.inventory["node-7"]
        page.get_by_role("button", name="Hold").click()
        expect(page.get_by_role("heading", name="hold: 1 of 2 done")).to_be_visible()
        expect(page.get_by_role("row", name="node-7")).to_contain_text("refused: no machine is called node-7")
        assert application.inventory["node-6"].conditions[0].reason == "moving house"


def test_all_that_failed_are_tried_again_at_once(page: Page) -> None:
    application = rack()
    names, step = ("node-6", "node-7", "node-8"), INSTALL.steps[0]
    steps = tuple(replace(step, id=f"write.{name}", machine=name, needs=()) for name in names)
    application.broken, application.slow = frozenset({"write.node-6", "write.node-7"}), frozenset({"write.node-8"})
    application.plans = [replace(INSTALL, steps=steps, deferred=(), roles=())]
    with serving(application) as served:
        plan = served.do(application.make_plan())
        run = served.do(application.apply(PlanDigest(plan.digest)))
        page.goto(f"{served.url}/runs/{run.id}")
        expect(page.get_by_role("button", name="again")).to_have_count(3)
        application.broken = frozenset()
        page.get_by_role("button", name="Try all 2 again").click()
        expect(page.get_by_role("button", name="again")).to_have_count(0)
        states = {one.machine: one.state for one in application.run(RunId(run.id)).steps}
        assert [states[name].value for name in names] == ["done", "done", "running"]


def test_every_standing_is_in_the_scene() -> None:
    assert {standing(machine) for machine in machines().values()} >= set(Standing) - {Standing.IDLE}
    assert INSTALL.steps
