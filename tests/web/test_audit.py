"""The audit log in a browser: newest first, found, proven, copied; for admins alone."""

import json
import statistics
import time
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from appliance.access.audit import Deed
from appliance.access.model import Role
from appliance.model.access_views import AuditEntryView
from appliance.model.codec import from_json
from tests.web.conftest import serious
from tests.web.hostile import STRINGS
from tests.web.site import Site, log_in

DEED = Deed(
    who="bob",
    role="operator",
    via="token",
    source="192.0.2.7",
    event="request",
    method="POST",
    route="/v1/runs/{run}/pause",
    target="run=3f2a",
    status=200,
    trace="00ff",
)


def write(site: Site, count: int, **change: object) -> None:
    for at in range(count):
        site.server.do(site.access.audit.write(replace(DEED, target=f"run={at}", **change)))  # type: ignore[arg-type]


def log_file(site: Site) -> Path:
    return Path(site.access.audit._path)


def test_newest_first_and_by_page(site: Site, visitor: Page) -> None:
    site.add(Role.ADMIN)
    write(site, 120)
    log_in(visitor, site, "admin")
    visitor.keyboard.press("a")
    rows = visitor.locator(".audit tbody tr")
    expect(rows).to_have_count(50)
    expect(rows.first).to_contain_text("authn_login_success")
    expect(rows.nth(1)).to_contain_text("run=119")
    expect(visitor.locator("#chain")).to_contain_text("The chain is whole: 121 lines")
    visitor.get_by_role("link", name="Older").click()
    expect(rows.first).to_contain_text("run=70")
    visitor.get_by_role("link", name="Older").click()
    expect(rows).to_have_count(21)
    expect(visitor.get_by_role("link", name="Older")).to_have_count(0)
    visitor.get_by_role("link", name="Newest").click()
    expect(rows.nth(1)).to_contain_text("run=119")


def test_found_by_the_keyboard_alone(site: Site, visitor: Page) -> None:
    site.add(Role.ADMIN)
    write(site, 3)
    write(site, 1, who="eve", status=403, event="authz_fail")
    log_in(visitor, site, "admin")
    visitor.keyboard.press("a")
    expect(visitor.get_by_role("heading", name="Audit log")).to_be_visible()
    visitor.keyboard.press("/")
    visitor.keyboard.type("eve")
    visitor.keyboard.press("Tab")
    visitor.keyboard.type("AUTHZ")
    visitor.keyboard.press("Tab")
    visitor.keyboard.type("refused")
    visitor.keyboard.press("Tab")
    visitor.keyboard.press("Enter")
    rows = visitor.locator(".audit tbody tr")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("authz_fail")
    assert "who=eve" in visitor.url
    visitor.goto(f"{site.url}/audit?who=nobody-at-all")
    expect(visitor.get_by_text("No line fits")).to_be_visible()


def test_a_copy_has_every_line_that_is_wanted(site: Site) -> None:
    site.add(Role.ADMIN)
    write(site, 12)
    write(site, 2, who="eve")
    status, _, body = site.ask("GET", "/audit.ndjson", Cookie=site.cookie("admin"))
    entries = [from_json(AuditEntryView, line) for line in body.splitlines()]
    assert (status, [entry.seq for entry in entries]) == (200, list(range(1, 15)))
    _, _, body = site.ask("GET", "/audit.ndjson?who=eve&what=run%3D1", Cookie=site.cookie("admin"))
    assert [json.loads(line)["target"] for line in body.splitlines()] == ["run=1"]


def test_a_broken_chain_is_said(site: Site, visitor: Page) -> None:
    site.add(Role.ADMIN)
    write(site, 5)
    log_in(visitor, site, "admin")
    visitor.goto(f"{site.url}/audit")
    expect(visitor.locator("#chain")).to_contain_text("The chain is whole")
    path = log_file(site)
    path.write_bytes(path.read_bytes().replace(b"run=2", b"run=7"))
    visitor.get_by_role("link", name="Prove it again").click()
    expect(visitor.get_by_role("alert")).to_contain_text("The chain is broken at line 4")
    assert not serious(visitor)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(site: Site, visitor: Page, scheme: str) -> None:
    visitor.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of the two
    site.add(Role.ADMIN)
    write(site, 60)
    log_in(visitor, site, "admin")
    for path in ("/audit", "/audit?who=nobody", "/audit?outcome=odd"):
        visitor.goto(site.url + path)
        assert not serious(visitor), path


def test_hostile_text(site: Site, visitor: Page) -> None:
    site.add(Role.ADMIN)
    for text in STRINGS:
        deed = replace(DEED, who=text, source=text, method=text, route=text, target=text)
        site.server.do(site.access.audit.write(deed))
    log_in(visitor, site, "admin")
    visitor.goto(f"{site.url}/audit")
    for _ in range(4):
        assert visitor.evaluate("() => window.pwned === undefined")
        assert visitor.locator(".audit tbody tr").count() > 40
        assert visitor.locator(".audit script, .audit img, .audit iframe").count() == 0
        if visitor.get_by_role("link", name="Older").count() == 0:
            break
        visitor.get_by_role("link", name="Older").click()
    for text in STRINGS[::9]:
        quoted = visitor.evaluate("text => encodeURIComponent(text)", text)
        for query in (f"who={quoted}", f"what={quoted}", f"outcome={quoted}", f"before={quoted}"):
            visitor.goto(f"{site.url}/audit?{query}")
            assert visitor.evaluate("() => window.pwned === undefined"), query


def test_admins_alone_see_it(site: Site) -> None:
    site.add(Role.OPERATOR)
    for path in ("/audit", "/audit.ndjson"):
        status, _, body = site.ask("GET", path, Cookie=site.cookie("operator"))
        assert (status, b"this needs the role admin" in body) == (403, True)
        assert site.ask("GET", path)[:2] == (303, "/login")


@pytest.mark.alone
def test_a_long_log_opens_at_once(site: Site, visitor: Page) -> None:
    """Two thousand requests: the latest are there within a second, the median of three."""
    site.add(Role.ADMIN)
    log_in(visitor, site, "admin")
    write(site, 2000)
    took = []
    for _ in range(3):
        began = time.monotonic()
        visitor.goto(f"{site.url}/audit", wait_until="domcontentloaded")
        took.append(time.monotonic() - began)
    assert visitor.locator(".audit tbody tr").count() > 40
    assert statistics.median(took) <= 1.0, took
