"""Coming in by a browser, over TLS, through the real gate: the first admin, roles, forged forms, and the end of it."""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from appliance.access.access import Access
from appliance.access.model import COOKIE, Role
from appliance.api.app import create_app
from appliance.api.fake import FakeApplication, Served, fake_access, served_app
from appliance.api.server import Secure, listen_on
from appliance.fleet.credential import kept
from appliance.system import SystemClock, SystemRng
from appliance.web.app import create_pages
from pxe.tls import server_context
from tests.web.conftest import serious
from tests.web.scenes import rack

PASSWORD = "correct horse battery"
HOST = "localhost"


@dataclass(frozen=True, kw_only=True)
class Site:
    url: str
    port: int
    access: Access
    application: FakeApplication
    server: Served

    def add(self, role: Role) -> None:
        """An account that is called like its role."""
        if self.access.desk.setup_code:
            code = self.access.desk.setup_code
            self.server.do(self.access.desk.set_up("admin", code, PASSWORD, "192.0.2.1"))
        if role is not Role.ADMIN:
            self.server.do(self.access.desk.add_user(role.value, role, PASSWORD))

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str, bytes]:
        """Status, Location and body, as a program that sends what it likes."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = HTTPSConnection(HOST, self.port, context=context, timeout=10)
        sent = {"Content-Type": "application/x-www-form-urlencoded"} | headers
        connection.request(method, path, body=body.encode() or None, headers=sent)
        answer = connection.getresponse()
        got = answer.status, answer.headers.get("Location", ""), answer.read()
        connection.close()
        return got

    def cookie(self, name: str) -> str:
        entered = self.server.do(self.access.desk.log_in(name, PASSWORD, "", "192.0.2.1"))
        return f"{COOKIE}={entered.cookie}"


@contextmanager
def sited(folder: Path) -> Iterator[Site]:
    credential, application = kept(folder, "lab", (HOST,), SystemClock()), rack()
    with fake_access() as access, listen_on(0) as listener:
        pages = create_pages(application, access.desk, life="life", now=time.time)
        app = create_app(application, access, SystemRng(), hosts=frozenset({HOST}), pages=pages)
        port = listener.getsockname()[1]
        secure = Secure(listener=listener, tls=server_context([credential]))
        with served_app(app, folder / "api.sock", secure) as server:
            url = f"https://{HOST}:{port}"
            yield Site(url=url, port=port, access=access, application=application, server=server)


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


def log_in(page: Page, site: Site, name: str) -> None:
    page.goto(site.url)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def test_the_first_admin_and_the_way_out(site: Site, visitor: Page) -> None:
    visitor.goto(site.url)
    expect(visitor.get_by_role("heading", name="The first admin")).to_be_visible()
    assert not serious(visitor)
    visitor.get_by_label("Code").fill("ABCD-EFGH")
    visitor.get_by_label("Name").fill("ann")
    visitor.get_by_label("Password").fill(PASSWORD)
    visitor.get_by_role("button", name="Make the account").click()
    expect(visitor.get_by_role("alert")).to_contain_text("this is not the setup code")
    visitor.get_by_label("Code").fill(site.access.desk.setup_code)
    visitor.get_by_label("Name").fill("ann")
    visitor.get_by_label("Password").fill(PASSWORD)
    visitor.get_by_role("button", name="Make the account").click()
    expect(visitor.get_by_role("button", name="Provision rack")).to_be_visible()
    expect(visitor.locator(".leave")).to_contain_text("ann")
    (cookie,) = visitor.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (COOKIE, True, True, "Strict")
    visitor.get_by_role("button", name="Log out").click()
    expect(visitor.get_by_role("heading", name="Log in")).to_be_visible()
    assert not serious(visitor)
    visitor.goto(f"{site.url}/machines")
    expect(visitor.get_by_role("heading", name="Log in")).to_be_visible()


def test_a_wrong_password_and_the_right_one(site: Site, visitor: Page) -> None:
    site.add(Role.OPERATOR)
    visitor.goto(site.url)
    visitor.get_by_label("Name").fill("operator")
    visitor.get_by_label("Password").fill("wrong")
    visitor.get_by_role("button", name="Log in").click()
    expect(visitor.get_by_role("alert")).to_contain_text("name, password or code is wrong")
    log_in(visitor, site, "operator")
    visitor.get_by_role("button", name="Provision rack").click()
    visitor.get_by_label("Type lab to begin").fill("lab")
    visitor.get_by_role("button", name="Begin").click()
    expect(visitor.get_by_role("heading", name="Run run-2")).to_be_visible()


def test_a_viewer_looks_and_changes_nothing(site: Site, visitor: Page) -> None:
    site.add(Role.VIEWER)
    log_in(visitor, site, "viewer")
    expect(visitor.locator("#cell-node-6")).to_contain_text("active")
    expect(visitor.get_by_role("button", name="Provision rack")).to_be_hidden()
    cookie, origin = site.cookie("viewer"), site.url
    status, _, body = site.ask("POST", "/provision", "csrf=x", Cookie=cookie, Origin=origin)
    assert (status, b"this needs the role operator" in body) == (403, True)
    assert not site.application.runs().runs


def test_what_is_live_ends_with_the_session(site: Site, visitor: Page) -> None:
    site.add(Role.OPERATOR)
    log_in(visitor, site, "operator")
    expect(visitor.locator("#cell-node-6")).to_be_visible()
    seen = site.access.desk.user("operator")
    site.access.desk.change_user(seen.name, None, False)
    site.server.do(site.application.tell("node-6", "news"))
    expect(visitor.locator("#connection")).to_be_visible()


POSTS = (
    "/provision",
    f"/plans/{'a' * 64}/apply",
    "/machines",
    "/machines/node-6/errand",
    "/machines/node-6/power",
    "/machines/node-6/hold",
    "/machines/node-6/release",
    "/runs/run-1/pause",
    "/runs/run-1/cancel",
    "/goals/goal-1/drop",
)
FORM = urlencode({"name": "lab", "reason": "r", "errand": "wipe", "action": "on", "verb": "hold", "machine": "node-6"})


@pytest.mark.parametrize("path", POSTS)
def test_forged_forms_change_nothing(path: str, site: Site) -> None:
    """No session, another site's page, no origin, no token, another session's token."""
    site.add(Role.OPERATOR)
    before = dict(site.application.inventory)
    cookie, other = site.cookie("operator"), site.cookie("operator")
    caller = site.access.desk.by_session(other.partition("=")[2])
    assert caller is not None
    stolen = f"{FORM}&csrf={site.access.desk.csrf_of(caller)}"
    assert site.ask("POST", path, FORM, Origin=site.url)[:2] == (303, "/login")
    assert site.ask("POST", path, FORM, Cookie=cookie, Origin="https://evil.example")[0] == 403
    assert site.ask("POST", path, FORM, Cookie=cookie)[0] == 403
    assert site.ask("POST", path, FORM, Cookie=cookie, Origin=site.url)[0] == 403
    assert site.ask("POST", path, stolen, Cookie=cookie, Origin=site.url)[0] == 403
    assert site.ask("GET", path, Cookie=cookie)[0] in (200, 404, 405)
    assert not site.application.runs().runs
    assert (site.application.inventory, site.application.powered) == (before, [])


def test_without_a_log_in_only_the_doors_are_open(site: Site) -> None:
    site.add(Role.ADMIN)
    opened = {"/login": 200, "/setup": 303}
    paths = ("/", "/machines", "/machines/node-1", "/runs", "/events", "/keys", "/live?page=rack", "/nothing", *opened)
    for path in paths:
        status, location, _ = site.ask("GET", path)
        assert status == opened.get(path, 303), path
        assert (status, location) == (303, "/login") or path == "/login"
    assert site.ask("GET", "/static/app.css")[0] == 200
    assert site.ask("GET", "/static/../app.py")[0] in (303, 404)
    assert site.ask("GET", "/", Host="evil.example")[0] == 421
    assert site.ask("GET", "/v1/nothing")[0] == 401


def test_entries_are_in_the_audit_log(site: Site, visitor: Page) -> None:
    site.add(Role.OPERATOR)
    visitor.goto(site.url)
    visitor.get_by_label("Name").fill("operator")
    visitor.get_by_label("Password").fill("my secret typed wrong")
    visitor.get_by_role("button", name="Log in").click()
    expect(visitor.get_by_role("alert")).to_be_visible()
    log_in(visitor, site, "operator")
    visitor.get_by_role("button", name="Provision rack").click()
    expect(visitor.get_by_label("Type lab to begin")).to_be_visible()
    lines = site.server.do(site.access.audit.read(after=0, limit=100, wait=0))
    told = [(line.event, line.who, line.status) for line in lines]
    assert ("authn_login_fail", "operator", 401) in told
    assert ("authn_login_success", "operator", 303) in told
    assert any(line.event == "request" and line.route == "/provision" and line.who == "operator" for line in lines)
    assert "secret" not in str(lines)
