"""The hand-over report in a browser: found from the machines, filtered, printed, and a file that needs no appliance."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from appliance.frontend.report import page as standalone
from appliance.model.filter import parse
from tests.web.conftest import serious
from tests.web.scenes import rack
from tests.web.serving import serving


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_from_the_machines_to_the_report(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of its two words
    with serving(rack()) as served:
        page.goto(f"{served.url}/machines?filter=node-1")
        page.get_by_role("link", name="Hand-over report").click()
        expect(page.get_by_role("heading", name="Hand-over report: lab")).to_be_visible()
        expect(page.get_by_role("heading", name="node-1", exact=True)).to_be_visible()
        expect(page.get_by_role("heading", name="node-5", exact=True)).to_have_count(0)
        page.get_by_label("Filter").fill("")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="node-5", exact=True)).to_be_visible()
        assert not serious(page)
        page.emulate_media(media="print")
        expect(page.get_by_role("navigation")).to_be_hidden()
        expect(page.get_by_role("heading", name="Hand-over report: lab")).to_be_visible()


def test_the_file_is_whole_in_itself(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(standalone(rack().report(parse(""), "")))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    expect(page.get_by_role("heading", name="Hand-over report: lab")).to_be_visible()
    assert asked == [file.as_uri()]
    assert not serious(page)
