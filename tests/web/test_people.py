"""Passkeys, accounts, tokens and sessions in a browser, over TLS and through the real gate."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, CDPSession, Page, expect

from appliance.access import totp
from appliance.access.model import Role
from appliance.system import SystemClock
from tests.web.conftest import serious
from tests.web.hostile import STRINGS
from tests.web.site import ADDRESS, PASSWORD, Site, log_in

NEW = "staple staple staple"


@dataclass(frozen=True, kw_only=True)
class Virtual:
    """The browser's own authenticator, in software (WebAuthn, section 11)."""

    devtools: CDPSession
    id: str

    def set(self, count: int) -> None:
        """Its one passkey is copied, and has signed `count` times."""
        (credential,) = self.devtools.send("WebAuthn.getCredentials", {"authenticatorId": self.id})["credentials"]
        self.devtools.send(
            "WebAuthn.removeCredential", {"authenticatorId": self.id, "credentialId": credential["credentialId"]}
        )
        credential["signCount"] = count
        self.devtools.send("WebAuthn.addCredential", {"authenticatorId": self.id, "credential": credential})

    def verify(self, *, well: bool) -> None:
        self.devtools.send("WebAuthn.setUserVerified", {"authenticatorId": self.id, "isUserVerified": well})


def authenticator(page: Page) -> Virtual:
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    added = devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return Virtual(devtools=devtools, id=added["authenticatorId"])


def add_passkey(page: Page, site: Site, label: str = "blue key") -> None:
    page.goto(f"{site.url}/account")
    page.get_by_label("What to call it").fill(label)
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Add a passkey").click()


def by_passkey(page: Page, site: Site) -> None:
    page.context.clear_cookies()
    page.goto(f"{site.url}/login")
    page.get_by_role("button", name="Use a passkey").click()


def test_a_passkey_is_added_and_opens_the_door(site: Site, visitor: Page) -> None:
    site.add(Role.VIEWER)
    virtual = authenticator(visitor)
    log_in(visitor, site, "viewer")
    add_passkey(visitor, site)
    expect(visitor.get_by_role("row", name="blue key")).to_contain_text("localhost")
    by_passkey(visitor, site)
    expect(visitor.locator("#cell-node-6")).to_be_visible()
    expect(visitor.locator(".leave")).to_contain_text("viewer")
    (passkey,) = site.access.desk.user("viewer").passkeys
    assert passkey.count > 0
    virtual.set(0)
    by_passkey(visitor, site)
    expect(visitor.get_by_role("alert")).to_contain_text("this passkey does not open the door")
    virtual.set(1000)
    by_passkey(visitor, site)
    expect(visitor.locator("#cell-node-6")).to_be_visible()
    virtual.verify(well=False)
    by_passkey(visitor, site)
    expect(visitor.get_by_role("alert")).to_contain_text("Nothing came of it")
    virtual.verify(well=True)
    log_in(visitor, site, "viewer")
    visitor.goto(f"{site.url}/account")
    visitor.get_by_role("button", name="Remove the passkey blue key").click()
    expect(visitor.get_by_text("There is no passkey.")).to_be_visible()
    by_passkey(visitor, site)
    expect(visitor.get_by_role("alert")).to_contain_text("this passkey does not open the door")
    lines = site.server.do(site.access.audit.read(after=0, limit=100, wait=0))
    assert [line.event for line in lines if line.route == "/v1/login/passkey"] == [
        "authn_login_success", "authn_login_fail", "authn_login_success", "authn_login_fail",
    ]  # fmt: skip


def test_a_passkey_by_the_keyboard_alone(site: Site, visitor: Page) -> None:
    site.add(Role.OPERATOR)
    authenticator(visitor)
    log_in(visitor, site, "operator")
    visitor.goto(f"{site.url}/account")
    visitor.get_by_label("What to call it").focus()
    visitor.keyboard.type("laptop")
    visitor.keyboard.press("Tab")
    visitor.keyboard.type(PASSWORD)
    visitor.keyboard.press("Enter")
    expect(visitor.get_by_role("row", name="laptop")).to_be_visible()
    visitor.context.clear_cookies()
    visitor.goto(f"{site.url}/login")
    expect(visitor.get_by_role("button", name="Use a passkey")).to_be_visible()
    visitor.get_by_role("link", name="Help with logging in").focus()
    visitor.keyboard.press("Tab")
    visitor.keyboard.press("Enter")
    expect(visitor.get_by_role("button", name="Provision rack")).to_be_visible()


def test_who_adds_a_passkey_proves_the_password(site: Site, visitor: Page) -> None:
    site.add(Role.VIEWER)
    authenticator(visitor)
    log_in(visitor, site, "viewer")
    visitor.goto(f"{site.url}/account")
    visitor.get_by_label("What to call it").fill("stolen")
    visitor.get_by_label("Your password").fill("not the password")
    visitor.get_by_role("button", name="Add a passkey").click()
    expect(visitor.get_by_role("alert")).to_contain_text("the password or the code is wrong")
    assert site.access.desk.user("viewer").passkeys == ()


def test_a_browser_without_passkeys_is_told_why(site: Site, visitor: Page) -> None:
    site.add(Role.VIEWER)
    visitor.goto(f"https://{ADDRESS}:{site.port}/login")
    expect(visitor.get_by_text(f"Passkeys need a name, and {ADDRESS} is an address")).to_be_visible()
    expect(visitor.get_by_role("button", name="Use a passkey")).to_have_count(0)
    visitor.add_init_script("delete window.PublicKeyCredential")
    visitor.goto(f"{site.url}/login")
    expect(visitor.get_by_text("This browser knows no passkeys.")).to_be_visible()
    expect(visitor.get_by_role("button", name="Use a passkey")).to_be_hidden()


@contextmanager
def plain(browser: Browser) -> Iterator[Page]:
    """A browser that runs no script."""
    context = browser.new_context(ignore_https_errors=True, java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(15_000)
    yield page
    context.close()


def test_without_scripts_only_passkeys_are_lacking(site: Site, browser: Browser) -> None:
    site.add(Role.ADMIN)
    with plain(browser) as page:
        page.goto(f"{site.url}/login")
        expect(page.get_by_text("Passkeys need scripts in this browser")).to_be_visible()
        log_in(page, site, "admin")
        people(page, site)
        account(page, site)
        page.goto(f"{site.url}/audit?what=user_created")
        expect(page.get_by_role("row", name="user_created")).to_contain_text("user=bob")
        page.goto(f"{site.url}/site")
        expect(page.get_by_role("heading", name="It is the one that runs")).to_be_visible()


def test_people_with_scripts(site: Site, visitor: Page) -> None:
    site.add(Role.ADMIN)
    log_in(visitor, site, "admin")
    visitor.keyboard.press("p")
    expect(visitor.get_by_role("heading", name="People")).to_be_visible()
    people(visitor, site)
    account(visitor, site)


def people(page: Page, site: Site) -> None:
    """Somebody is added, changed, reset and removed."""
    page.goto(f"{site.url}/people")
    page.get_by_label("Name").fill("bob")
    page.get_by_label("Role").select_option("operator")
    page.get_by_label("First password").fill(PASSWORD)
    page.get_by_role("button", name="Add the account").click()
    expect(page.get_by_role("heading", name="bob")).to_be_visible()
    page.get_by_label("Role").select_option("viewer")
    page.get_by_role("button", name="Change the role").click()
    assert site.access.desk.user("bob").role is Role.VIEWER
    page.get_by_role("button", name="Disable").click()
    expect(page.get_by_role("button", name="Enable")).to_be_visible()
    assert not site.access.desk.user("bob").enabled
    page.get_by_role("button", name="Enable").click()
    expect(page.get_by_role("button", name="Disable")).to_be_visible()
    page.get_by_role("button", name="Ask for a second factor").click()
    expect(page.get_by_role("alert")).to_contain_text("bob needs a second factor, and would have none")
    site.server.do(site.access.desk.log_in("bob", PASSWORD, "", "192.0.2.1"))
    page.get_by_label("New password").fill(NEW)
    page.get_by_role("button", name="Set the password").click()
    expect(page.get_by_role("heading", name="bob")).to_be_visible()
    site.server.do(site.access.desk.log_in("bob", NEW, "", "192.0.2.1"))
    page.goto(f"{site.url}/people")
    page.get_by_role("button", name="End the session of bob from 192.0.2.1").click()
    expect(page.get_by_role("button", name="End the session of bob")).to_have_count(0)
    page.goto(f"{site.url}/people/bob")
    page.get_by_label("Type bob to remove").fill("bobby")
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("type bob, letter by letter")
    page.get_by_label("Type bob to remove").fill("bob")
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("heading", name="People")).to_be_visible()
    expect(page.get_by_role("link", name="bob")).to_have_count(0)


def account(page: Page, site: Site) -> None:
    """Token, authenticator and password of one's own."""
    page.goto(f"{site.url}/account")
    page.get_by_label("What it is for").fill("ci")
    page.get_by_label("Days that it lives").fill("3")
    page.get_by_role("button", name="Make a token").click()
    text = page.locator(".once code").inner_text()
    assert site.access.desk.by_token(text, "192.0.2.1").role is Role.VIEWER
    page.get_by_role("button", name="Revoke the token ci").click()
    expect(page.get_by_text("There is no token.")).to_be_visible()
    expect(page.locator(".once")).to_have_count(0)
    page.get_by_role("button", name="Add an authenticator").click()
    key = page.locator(".key").inner_text()
    assert re.fullmatch(r"([A-Z2-7]{4} ){7}[A-Z2-7]{4}", key)
    assert f"secret={key.replace(' ', '')}" in page.content()
    page.get_by_label("Code that it shows now").fill("000000")
    page.get_by_role("button", name="Use this authenticator").click()
    expect(page.get_by_role("alert")).to_contain_text("the authenticator shows another code")
    assert page.locator(".key").inner_text() == key
    code = totp.code_at(site.access.desk.user("admin").offered, int(SystemClock().now()) // 30)
    page.get_by_label("Code that it shows now").fill(code)
    page.get_by_role("button", name="Use this authenticator").click()
    expect(page.get_by_text("Only an admin takes it off")).to_be_visible()
    page.get_by_label("Present password").fill(NEW)
    page.get_by_label("New password, 12").fill(NEW)
    page.get_by_label("New password once more").fill(NEW)
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_role("alert")).to_contain_text("the present password is wrong")
    page.get_by_label("Present password").fill(PASSWORD)
    page.get_by_label("New password, 12").fill(NEW)
    page.get_by_label("New password once more").fill(f"{NEW}!")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_role("alert")).to_contain_text("not the same")


def test_two_admins_at_once(site: Site, visitor: Page) -> None:
    """What the second one saw is no longer so: nothing is changed, and the page shows what is."""
    site.add(Role.ADMIN)
    site.add(Role.VIEWER)
    log_in(visitor, site, "admin")
    visitor.goto(f"{site.url}/people/viewer")
    site.access.desk.change_user("viewer", Role.OPERATOR, None)
    visitor.get_by_role("button", name="Disable").click()
    expect(visitor.get_by_role("alert")).to_contain_text("it has changed since it was read")
    assert site.access.desk.user("viewer").enabled


def test_admins_alone_see_people(site: Site, visitor: Page) -> None:
    site.add(Role.ADMIN)
    site.add(Role.OPERATOR)
    for path in ("/people", "/people/admin"):
        status, _, body = site.ask("GET", path, Cookie=site.cookie("operator"))
        assert (status, b"this needs the role admin" in body) == (403, True)
    log_in(visitor, site, "operator")
    expect(visitor.get_by_role("link", name="Rack", exact=True)).to_be_visible()
    expect(visitor.get_by_role("link", name="People")).to_be_hidden()
    visitor.get_by_role("link", name="operator").click()
    expect(visitor.get_by_role("heading", name="Your account")).to_be_visible()
    expect(visitor.get_by_text("operator, with the role operator")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(site: Site, visitor: Page, scheme: str) -> None:
    visitor.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of the two
    site.add(Role.ADMIN)
    site.add(Role.VIEWER)
    authenticator(visitor)
    found = {"login": (visitor.goto(f"{site.url}/login"), serious(visitor))[1]}
    log_in(visitor, site, "admin")
    add_passkey(visitor, site)
    expect(visitor.get_by_role("row", name="blue key")).to_be_visible()
    visitor.get_by_label("What it is for").fill("ci")
    visitor.get_by_role("button", name="Make a token").click()
    found["token"] = serious(visitor)
    visitor.get_by_role("button", name="Add an authenticator").click()
    found["authenticator"] = serious(visitor)
    for path in ("/people", "/people/viewer", "/people/admin", "/account", "/people/nobody"):
        visitor.goto(site.url + path)
        found[path] = serious(visitor)
    assert not {path: troubles for path, troubles in found.items() if troubles}


def test_hostile_text(site: Site, visitor: Page) -> None:
    """Labels, user agents and what forms bring back."""
    site.add(Role.ADMIN)
    admin = site.access.desk.by_session(site.cookie("admin").partition("=")[2])
    assert admin is not None
    labels = [text for text in STRINGS if text.isprintable() and text.strip() and len(text) <= 60][:60]
    for text in labels:
        site.access.desk.make_token(admin, text, Role.VIEWER, 1)
    log_in(visitor, site, "admin")
    for path in ("/people", "/account"):
        visitor.goto(site.url + path)
        assert visitor.evaluate("() => window.pwned === undefined"), path
        assert visitor.get_by_role("button", name="Revoke").count() == len(labels)
    for text in STRINGS[::9]:
        visitor.goto(f"{site.url}/people/{visitor.evaluate('text => encodeURIComponent(text)', text)}")
        assert visitor.evaluate("() => window.pwned === undefined"), text
        visitor.goto(f"{site.url}/people")
        visitor.get_by_label("Name").fill(text)
        visitor.get_by_label("First password").fill(PASSWORD)
        visitor.get_by_role("button", name="Add the account").click()
        assert visitor.evaluate("() => window.pwned === undefined"), text
    assert [user.name for user in site.access.desk.users()] == ["admin"]


POSTS = (
    "/people",
    "/people/viewer/role",
    "/people/viewer/disable",
    "/people/viewer/second-factor",
    "/people/viewer/password",
    "/people/viewer/remove-authenticator",
    "/people/viewer/remove",
    "/people/viewer/passkeys/0011223344556677/remove",
    "/people/tokens/00112233/revoke",
    "/people/sessions/0011223344556677/end",
    "/account/password",
    "/account/totp",
    "/account/totp/confirm",
    "/account/tokens",
    "/account/tokens/00112233/revoke",
    "/account/sessions/0011223344556677/end",
    "/account/passkeys/0011223344556677/remove",
)


@pytest.mark.parametrize("path", POSTS)
def test_forged_forms_change_nothing(path: str, site: Site) -> None:
    """No session, another site's page, no origin, no token, another session's token."""
    site.add(Role.ADMIN)
    site.add(Role.VIEWER)
    form = urlencode({"name": "eve", "typed": "viewer", "role": "admin", "password": NEW, "label": "x", "again": NEW})
    cookie, other = site.cookie("admin"), site.cookie("admin")
    before = site.access.desk.users()
    caller = site.access.desk.by_session(other.partition("=")[2])
    assert caller is not None
    stolen = f"{form}&csrf={site.access.desk.csrf_of(caller)}"
    assert site.ask("POST", path, form, Origin=site.url)[:2] == (303, "/login")
    assert site.ask("POST", path, form, Cookie=cookie, Origin="https://evil.example")[0] == 403
    assert site.ask("POST", path, form, Cookie=cookie)[0] == 403
    assert site.ask("POST", path, form, Cookie=cookie, Origin=site.url)[0] == 403
    assert site.ask("POST", path, stolen, Cookie=cookie, Origin=site.url)[0] == 403
    if path.startswith("/people"):
        viewer = site.access.desk.by_session(site.cookie("viewer").partition("=")[2])
        assert viewer is not None
    assert (site.access.desk.users(), site.access.desk.tokens(caller)) == (before, ())


def test_what_people_do_has_its_name_in_the_audit_log(site: Site, visitor: Page) -> None:
    site.add(Role.ADMIN)
    log_in(visitor, site, "admin")
    visitor.goto(f"{site.url}/people")
    visitor.get_by_label("Name").fill("bob")
    visitor.get_by_label("First password").fill(PASSWORD)
    visitor.get_by_role("button", name="Add the account").click()
    visitor.get_by_role("button", name="Disable").click()
    expect(visitor.get_by_role("button", name="Enable")).to_be_visible()
    lines = site.server.do(site.access.audit.read(after=0, limit=100, wait=0))
    told = [(line.event, line.who, line.target) for line in lines]
    assert [(event, who) for event, who, _ in told[-2:]] == [("user_created", "admin"), ("user_updated", "admin")]
    assert all("user=bob" in target for _, _, target in told[-2:])
