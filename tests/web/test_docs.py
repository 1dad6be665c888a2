"""The documentation in a browser: read by everybody, with pictures, a search and no script; and the way to it from
where something is wrong."""

import re
from collections.abc import Iterator
from urllib.parse import urljoin
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Page, expect

from appliance.access.model import Role
from appliance.api.fake import FakeApplication
from appliance.manual.reading import own
from tests.failures import TEN, scene_of, show
from tests.web.conftest import serious
from tests.web.scenes import rack
from tests.web.serving import Serving, serving
from tests.web.site import Site, log_in

ADDRESSES = sorted(own().pages)
LOOKED_AT = ("/docs", "/docs/stuck", "/docs/first-rack", "/docs/errors", "/docs/errors/agent-silent", "/docs/terminal")


@pytest.fixture(scope="module")
def served() -> Iterator[Serving]:
    with serving(rack()) as one:
        yield one


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(page: Page, served: Serving, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of the two
    found = {}
    for path in (*LOOKED_AT, "/docs/search", "/docs/search?q=disk", "/docs/search?q=zzzz", "/docs/nothing"):
        page.goto(served.url + path)
        found[path] = serious(page)
    assert not {path: troubles for path, troubles in found.items() if troubles}


def test_every_page_every_link_and_every_picture_is_served(served: Serving) -> None:
    """A crawl from the index: what it finds is all that there is, and nothing of it is dead."""
    seen, left = dict[str, str](), ["/docs"]
    while left:
        path = left.pop()
        with urlopen(served.url + path) as answer:  # noqa: S310  our own server
            kind, body = answer.headers.get_content_type(), answer.read()
        seen[path] = kind
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        if kind == "text/html":
            body = body.partition(b'<article class="doc">')[2]
            links = re.findall(rb'(?:href|src)="([^"#]+)[^"]*"', body)
            ours = {urljoin(path, link.decode()) for link in links if not link.startswith((b"http:", b"https:"))}
            left += sorted(ours - seen.keys() - set(left))
    assert {path for path, kind in seen.items() if kind == "text/html"} == set(ADDRESSES)
    assert sum(kind == "image/png" for kind in seen.values()) >= 6
    assert set(seen.values()) == {"text/html", "image/png", "text/plain"}


def test_pictures_are_shown_and_examples_are_text(page: Page, served: Serving) -> None:
    page.goto(f"{served.url}/docs/first-rack")
    widths = page.evaluate("() => [...document.images].map((one) => one.naturalWidth)")
    assert widths
    assert all(width > 1000 for width in widths)
    page.get_by_role("link", name="examples/first_rack.py").click()
    expect(page.locator("body")).to_contain_text("site = Site(")


def test_the_keyboard_alone(page: Page, served: Serving) -> None:
    page.goto(f"{served.url}/docs")
    page.keyboard.press("/")
    page.keyboard.type("spanning tree")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Search the documentation")).to_be_visible()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.getAttribute('href')") == "/docs/stuck#no-dhcp-request":
            break
    page.keyboard.press("Enter")
    expect(page.locator("#no-dhcp-request")).to_be_in_viewport()


def test_without_scripts(browser: Browser, served: Serving) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{served.url}/docs/stuck")
    page.get_by_role("searchbox").fill("no-daemon")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Error no-daemon", exact=True).click()
    expect(page.get_by_role("heading", name="Error no-daemon")).to_be_visible()
    page.get_by_role("link", name="All pages").click()
    expect(page.get_by_role("heading", name="Documentation", exact=True)).to_be_visible()
    context.close()


def test_what_is_typed_into_the_search_is_text(page: Page, served: Serving) -> None:
    page.goto(f"{served.url}/docs/search?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    expect(page.get_by_text("No place has all of these words")).to_be_visible()
    assert page.locator("main script").count() == 0


def test_nothing_is_cut_off_on_a_narrow_screen(page: Page, served: Serving) -> None:
    """At 320 pixels, which is 400 % of zoom on a small screen, nobody scrolls sideways (WCAG 2.2, 1.4.10)."""
    page.set_viewport_size({"width": 320, "height": 700})
    wide = {}
    for path in (*ADDRESSES, "/docs/search?q=dhcp"):
        page.goto(served.url + path)
        wide[path] = page.evaluate("() => document.documentElement.scrollWidth")
    assert not {path: width for path, width in wide.items() if width > 320}


@pytest.mark.parametrize("name", TEN)
def test_from_what_is_wrong_to_what_helps(name: str, page: Page) -> None:
    application = FakeApplication()
    scene = show(application, scene_of(name))
    with serving(application) as served:
        page.goto(f"{served.url}/machines/{scene.machine.name}")
        page.get_by_role("link", name="What this means, and what else to try").first.click()
        expect(page.get_by_role("article")).to_be_visible()
        assert page.url.removeprefix(served.url) == f"/docs/errors/{scene.condition.code}"
        if scene.beside:
            page.goto(served.url)
            page.get_by_role("link", name="What to do").click()
            expect(page.locator("#another-dhcp-server")).to_be_in_viewport()


def test_from_the_filter_the_plan_and_an_error(page: Page) -> None:
    with serving(rack()) as served:
        page.goto(f"{served.url}/machines")
        page.get_by_role("link", name="How to filter").click()
        expect(page.get_by_role("heading", name="Finding machines")).to_be_visible()
        page.goto(served.url)
        page.get_by_role("button", name="Provision rack").click()
        page.get_by_role("link", name="What a plan says").click()
        expect(page.locator("#plan-and-apply")).to_be_in_viewport()
        page.goto(f"{served.url}/machines?filter=colour:red")
        page.get_by_role("link", name="What this error means").click()
        expect(page.get_by_role("heading", name="Error usage")).to_be_visible()


def test_help_before_the_log_in_and_after(site: Site, visitor: Page) -> None:
    visitor.goto(site.url)
    visitor.get_by_role("link", name="Where the code is").click()
    expect(visitor.locator("#the-first-admin")).to_be_in_viewport()
    assert visitor.get_by_role("navigation").count() == 0
    site.add(Role.VIEWER)
    visitor.goto(site.url)
    visitor.get_by_role("link", name="Help with logging in").click()
    expect(visitor.locator("#when-you-cannot-log-in")).to_be_in_viewport()
    log_in(visitor, site, "viewer")
    visitor.get_by_role("link", name="Help", exact=True).click()
    expect(visitor.get_by_role("heading", name="Documentation", exact=True)).to_be_visible()
    expect(visitor.locator(".leave")).to_contain_text("viewer")
