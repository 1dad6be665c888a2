"""Ten failures of the field: the machine's page names the cause, what was seen and what to do; the rack shows where."""

import pytest
from playwright.sync_api import Page, expect

from appliance.api.fake import FakeApplication
from tests.failures import TEN, scene_of, show
from tests.web.conftest import serious
from tests.web.serving import serving


@pytest.mark.parametrize("name", TEN)
def test_failure(name: str, page: Page) -> None:
    application = FakeApplication()
    scene = show(application, scene_of(name))
    machine, shown = scene.machine, scene.condition
    with serving(application) as served:
        page.goto(served.url)
        expect(page.locator(f"#cell-{machine.name}")).to_contain_text(machine.name)
        expect(page.locator("#counts")).to_contain_text("1 machines")
        if scene.beside:
            expect(page.locator(".trouble")).to_contain_text(scene.beside)
        page.get_by_role("link", name=machine.name).first.click()
        told = page.locator(".condition")
        for text in (shown.reason, f"seen: {shown.evidence}", f"next: {shown.next_action}"):
            expect(told).to_contain_text(text)
        assert not serious(page)
