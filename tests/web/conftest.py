"""A real browser, Debian's own, on the real pages. Every test fails on a script error or a violated content policy."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.web.site import Site, sited

_AXE = Path(__file__).with_name("vendor") / "axe.min.js"
CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for the whole session: while it is open, an event loop runs here, and other tests start their own."""
    if CHROMIUM is None:
        pytest.skip("NO PAGE IS TESTED: install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Its `troubles` are asserted to be none at the end of the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=False)
    troubles: list[str] = []
    opened = context.new_page()
    opened.set_default_timeout(15_000)
    opened.on("pageerror", lambda error: troubles.append(f"script: {error}"))
    opened.on("console", lambda said: troubles.append(f"console: {said.text}") if said.type == "error" else None)
    yield opened
    context.close()
    assert not [trouble for trouble in troubles if "Failed to load resource" not in trouble], troubles


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with sited(tmp_path) as one:
        yield one


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Page]:
    """Its browser was told to trust the appliance's certificate."""
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.set_default_timeout(15_000)
    yield page
    context.close()


def serious(page: Page) -> list[str]:
    """What axe finds on the page that keeps people out (WCAG 2.2 AA)."""
    page.evaluate(_AXE.read_text())
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
