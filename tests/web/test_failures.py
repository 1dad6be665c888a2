"""Ten failures of the field: the machine's page names the cause, what was seen and what to do; the rack shows where."""

import pytest
from playwright.sync_api import Page, expect

from appliance.api.fake import FakeApplication
from appliance.api.fake_scenes import FAILURES, Failure, fail
from tests.web.conftest import serious
from tests.web.serving import serving


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
def test_failure(failure: Failure, page: Page) -> None:
    application = FakeApplication()
    machine = fail(application, failure)
    with serving(application) as served:
        page.goto(served.url)
        expect(page.locator(f"#cell-{machine.name}")).to_contain_text(machine.name)
        expect(page.locator("#counts")).to_contain_text("1 machines")
        if failure.segment:
            expect(page.locator(".trouble")).to_contain_text(failure.segment)
        page.get_by_role("link", name=machine.name).first.click()
        told = page.locator(".condition")
        for text in (failure.cause, f"seen: {failure.evidence}", f"next: {failure.action}"):
            expect(told).to_contain_text(text)
        assert not serious(page)
