"""The serial console in a browser, through the real gate over TLS: read, typed on, copied, lost, and attacked."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from appliance.access.model import Role
from appliance.console.console import Console, LineError
from appliance.model.console_views import ConsoleState
from tests.web.conftest import serious
from tests.web.consoles import Wire, console_on
from tests.web.hostile import STRINGS
from tests.web.site import Site, log_in, sited

NODE = "node-6"
TAKEN = LineError(
    ConsoleState.TAKEN,
    "the session was taken by another client",
    evidence="the BMC ended our session",
    next_action="find out who else uses the line",
)
SILENT = LineError(ConsoleState.SILENT, "the BMC does not answer", next_action="check its cable")


@dataclass(frozen=True, kw_only=True)
class Scene:
    site: Site
    wire: Wire
    page: Page

    def open(self, role: Role, path: str = f"/machines/{NODE}/console") -> None:
        self.site.add(role)
        log_in(self.page, self.site, role.value)
        expect(self.page.locator("nav")).to_be_visible()
        self.page.goto(self.site.url + path)

    def say(self, data: bytes) -> None:
        self.site.server.do(self.wire.say(data))

    def typed(self, count: int) -> bytes:
        return self.site.server.do(self.wire.heard(count))


@pytest.fixture
def scene(browser: Browser, tmp_path: Path) -> Iterator[Scene]:
    """No script error and no violation of the content policy is forgiven."""
    wire, troubles = Wire(), list[str]()
    context = browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 1000})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    with sited(tmp_path) as site:
        console = console_on(wire, tmp_path, NODE)
        site.application.consoles[NODE] = console
        running = site.server.do(_begin(console))
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: troubles.append(f"script: {error}"))
        page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
        yield Scene(site=site, wire=wire, page=page)
        context.close()
        site.server.do(_end(running))
    forgiven = ("Failed to load resource", "WebSocket connection to")
    assert not [trouble for trouble in troubles if not trouble.startswith(forgiven)], troubles


async def _begin(console: Console) -> asyncio.Task[None]:
    return asyncio.create_task(console.run())


async def _end(running: asyncio.Task[None]) -> None:
    running.cancel()
    await asyncio.wait({running})


def test_an_operator_reads_types_and_copies(scene: Scene) -> None:
    scene.say(b"said before\r\n\x1b[1;38;2;200;100;50;4mlogin:\x1b[0m ")
    scene.open(Role.OPERATOR, f"/machines/{NODE}")
    scene.page.locator("#to-console").click()
    page = scene.page
    expect(page.locator("#line")).to_contain_text("connected")
    expect(page.locator(".xterm-rows")).to_contain_text("login:")
    expect(page.locator("#transcript")).to_contain_text("said before\nlogin:")
    page.keyboard.type("root\r")
    expect(page.locator(".xterm-helper-textarea")).to_be_focused()
    scene.say(b"root\r\nPassword: ")
    expect(page.locator(".xterm-rows")).to_contain_text("Password:")
    assert scene.typed(5) == b"root\r"
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("#done")).to_have_text("All of it is copied.")
    assert page.evaluate("() => navigator.clipboard.readText()") == "said before\nlogin: root\nPassword: "


def test_the_terminal_looks_as_it_should_under_the_content_policy(scene: Scene) -> None:
    """Rows have a height, colours are there: what xterm.js writes into styles takes effect."""
    scene.say(b"\x1b[38;2;255;0;0mred\x1b[0m \x1b[31mred\r\n")
    scene.open(Role.OPERATOR)
    expect(scene.page.locator(".xterm-rows")).to_contain_text("red")
    seen = scene.page.evaluate(
        "() => [...document.querySelectorAll('.xterm-rows > div:first-child span')].map("
        "(one) => [one.textContent, getComputedStyle(one).color, getComputedStyle(one).display])"
    )
    colours = [colour for text, colour, display in seen if text == "red" and display == "inline-block"]
    assert len(colours) == 2, seen
    assert "rgb(238, 240, 242)" not in colours
    assert scene.page.evaluate("() => document.querySelectorAll('style').length") == 0


def test_a_viewer_reads_only(scene: Scene) -> None:
    scene.say(b"login: ")
    scene.open(Role.VIEWER)
    page = scene.page
    expect(page.locator(".xterm-rows")).to_contain_text("login:")
    expect(page.locator("#keys-help")).to_have_text("You may look. Only operators type.")
    page.keyboard.type("root\r")
    page.evaluate(
        "async (address) => { const one = new WebSocket(address); await new Promise((done) => { one.onopen = done; });"
        " one.send(new TextEncoder().encode('reboot\\r')); one.close();"
        " await new Promise((done) => { one.onclose = done; }); }",
        f"wss://localhost:{scene.site.port}/v1/machines/{NODE}/console",
    )
    scene.say(b"still here")
    expect(page.locator(".xterm-rows")).to_contain_text("still here")
    assert bytes(scene.wire.typed) == b""


HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def test_another_sites_page_does_not_get_the_console(scene: Scene) -> None:
    """A browser sends its cookie along; the Origin tells, and no session is no console."""
    scene.site.add(Role.OPERATOR)
    cookie, path = scene.site.cookie("operator"), f"/v1/machines/{NODE}/console"
    for headers, status in (
        ({"Cookie": cookie, "Origin": scene.site.url}, 101),
        ({"Cookie": cookie, "Origin": "https://evil.example"}, 403),
        ({"Cookie": cookie, "Origin": "null"}, 403),
        ({"Cookie": cookie}, 403),
        ({"Origin": scene.site.url}, 401),
        ({}, 401),
    ):
        assert scene.site.handshake(path, **HANDSHAKE, **headers) == status, headers


def test_a_line_that_is_lost_is_told_in_words(scene: Scene) -> None:
    scene.open(Role.OPERATOR)
    line = scene.page.locator("#line")
    expect(line).to_contain_text("connected")
    for why in (TAKEN, SILENT):
        scene.wire.refuses = why
        scene.site.server.do(scene.wire.cut(why))
        expect(line).to_contain_text(f"not connected: {why}")
        expect(line).to_contain_text(f"next: {why.next_action}")
        assert not serious(scene.page)
        scene.wire.refuses = None
        expect(line).to_contain_text("connected")
        expect(line).not_to_contain_text("next:")


def test_a_session_that_ended_is_told(scene: Scene) -> None:
    scene.open(Role.OPERATOR)
    expect(scene.page.locator("#line")).to_contain_text("connected")
    scene.site.access.desk.change_user("operator", None, False)
    scene.say(b"more")
    expect(scene.page.locator("#line")).to_contain_text("your session ended")
    expect(scene.page.locator("#line")).to_contain_text("next: log in again")


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_nobody_is_kept_out(colours: str, scene: Scene) -> None:
    scene.page.emulate_media(color_scheme=colours)  # type: ignore[arg-type]  # one of the two
    scene.say(b"\x1b[34mblue\x1b[0m and \x1b[2mfaint\r\nlogin: ")
    scene.open(Role.OPERATOR)
    expect(scene.page.locator("#transcript")).to_contain_text("login:")
    assert not serious(scene.page)


def test_the_keyboard_alone_gets_in_and_out(scene: Scene) -> None:
    scene.open(Role.OPERATOR)
    expect(scene.page.locator("#line")).to_contain_text("connected")
    expect(scene.page.locator(".xterm-helper-textarea")).to_be_focused()
    scene.page.keyboard.press("Tab")
    scene.page.keyboard.press("Control+]")
    expect(scene.page.get_by_role("button", name="Copy")).to_be_focused()
    scene.page.keyboard.press("Tab")
    scene.page.keyboard.press("Enter")
    expect(scene.page.locator("#line")).to_contain_text("connected")
    assert scene.typed(1) == b"\t"


ATTACKS = (
    b"\x1b]52;c;cHduZWQ=\x07",
    b"\x1b]8;;javascript:window.pwned=1\x1b\\click\x1b]8;;\x1b\\",
    b"\x1b]0;pwned\x07\x1b]2;pwned\x1b\\",
    b"\x1b[c\x1b[>c\x1b[=c\x1b[5n\x1b[6n\x1b[?6n\x1b[18t\x1b[21t\x05\x1b[?25$p\x1b[4$p",
    b"\x1bP$qm\x1b\\\x1bP+q544e\x1b\\\x1b]10;?\x07\x1b]11;?\x07\x1b]4;1;?\x07\x1b]12;?\x07",
)


def test_hostile_bytes_stay_in_the_terminal(scene: Scene) -> None:
    """They run nothing, copy nothing, link nowhere, change no title, and nobody types an answer for them."""
    for bytes_ in (*ATTACKS, *(text.encode(errors="replace") + b"\r\n" for text in STRINGS)):
        scene.say(bytes_)
    scene.open(Role.OPERATOR)
    page = scene.page
    page.evaluate("() => navigator.clipboard.writeText('mine')")
    for bytes_ in (
        *ATTACKS,
        *(text.encode(errors="replace") + b"\r\n" for text in STRINGS),
        b"\x1bc\x1b[?1049lthe end\r\n",
    ):
        scene.say(bytes_)
    expect(page.locator("#transcript")).to_contain_text("the end")
    assert page.evaluate("() => window.pwned") is None
    assert page.title().startswith(f"Console of {NODE}")
    assert page.evaluate("() => navigator.clipboard.readText()") == "mine"
    assert page.evaluate("() => document.querySelectorAll('#terminal a, iframe, object, base, style').length") == 0
    assert page.evaluate("() => document.querySelectorAll('script').length") == 3
    assert bytes(scene.wire.typed) == b""


def test_the_transcript_is_there_without_a_script(browser: Browser, scene: Scene) -> None:
    scene.say(b"\x1b[2J\x1b[31mkernel\x1b[0m panic\r\n\x1b]52;c;x\x07<b>end</b>\r\n")
    scene.open(Role.OPERATOR)
    expect(scene.page.locator("#transcript")).to_contain_text("panic")
    with browser.new_context(ignore_https_errors=True, java_script_enabled=False) as plain:
        plain.add_cookies(scene.page.context.cookies())
        page = plain.new_page()
        page.goto(f"{scene.site.url}/machines/{NODE}/console")
        expect(page.locator("#transcript")).to_have_text("kernel panic\n<b>end</b>\n")
        expect(page.locator("#line")).to_contain_text("connected")
        expect(page.locator("#live")).to_be_hidden()


def test_a_machine_without_a_console_says_so(scene: Scene) -> None:
    scene.open(Role.OPERATOR, "/machines/node-7/console")
    expect(scene.page.get_by_text("no console is called node-7")).to_be_visible()
    scene.page.goto(f"{scene.site.url}/machines/node-7")
    expect(scene.page.get_by_text("The site program names no serial console")).to_be_visible()
