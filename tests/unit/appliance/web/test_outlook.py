"""The pages of a plan and of its run say how long it takes."""

import asyncio

from appliance.model.ids import PlanDigest, RunId
from appliance.web.pages import Pages
from tests.web.scenes import INSTALL, NOW, rack


def test_a_plan_and_its_run_say_how_long_it_takes() -> None:
    application = rack()
    application.plans, application.slow = [INSTALL], frozenset(step.id for step in INSTALL.steps)
    pages = Pages(application, lambda: NOW)
    digest = PlanDigest(asyncio.run(application.make_plan()).digest)
    assert "Takes at least 14m: 1 of 4 steps was never timed here; with all their budgets" in pages.plan(digest)
    run = RunId(asyncio.run(application.apply(digest)).id)
    assert "At least 14m left: 1 of 4 steps was never timed here" in pages.run_parts(run)["run"]
    asyncio.run(application.cancel(run))
    assert "14m left" not in pages.run_parts(run)["run"]
