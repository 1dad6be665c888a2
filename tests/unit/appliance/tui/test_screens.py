"""Each screen at 80x24, as textual draws it; and no cell of any with a glyph that a console may lack."""

import asyncio
from pathlib import Path

import pytest

from appliance.api.app import create_app
from appliance.api.fake import FakeApplication, Served, fake_access, served_app
from appliance.client import Client
from appliance.errors import MachineryError
from appliance.model.access_views import Role, UserRequest
from appliance.system import SystemRng
from appliance.tui.terminal import ALLOWED, ASCII, Terminal
from tests.unit.appliance.tui.rack import GOLDEN, LINUX, VT100, Screen, begin, check, play, racked

SCREENS: dict[str, tuple[tuple[str, ...], str]] = {
    "overview": ((), "run run-1"),
    "overview-filter": (("slash", "n", "o", "d", "e", "minus", "2", "enter"), "filter: node-2"),
    "machine": (("enter",), "Why it is where it is"),
    "machine-failed": (("j", "k", "l", "enter"), "check the network cable"),
    "machine-certificate": (("G", "enter"), "Wipe certificate"),
    "choices": (("f6",), "Do with node-0"),
    "hold": (("f6", "G", "enter"), "Why? Enter alone leaves"),
    "plan": (("f3",), "These steps destroy"),
    "plan-name": (("f3",), "These steps destroy"),
    "runs": (("f4",), "2027-01-15T08:00:00Z"),
    "run": (("f4", "enter"), "Run run-1"),
    "cancel": (("f4", "c"), "ends where it stands"),
    "log": (("f5",), "ACK 10.77.0.50"),
    "log-machine": (("enter", "f5"), "Events of node-0"),
    "help": (("question_mark",), "Keys"),
    "command": (("colon", "n", "o"), ":"),
}
# What is only there once the plan has come.
AFTER = {"plan-name": ("enter",)}


@pytest.fixture
def begun(server: Served, application: FakeApplication) -> None:
    begin(server, application)


async def walk(screen: Screen, name: str) -> None:
    keys, sees = SCREENS[name]
    await screen.sees("run run-1", "5 machines")
    for key in keys:
        await screen.press(key)
    await screen.sees(sees)
    await screen.press(*AFTER.get(name, ()))
    if name == "plan-name":
        await screen.sees("Type the site's name")


@pytest.mark.usefixtures("begun")
@pytest.mark.parametrize("name", SCREENS)
def test_screen(name: str, socket_path: Path, server: Served, application: FakeApplication) -> None:
    async def look(screen: Screen) -> None:
        await walk(screen, name)
        check(name, screen.text)
        assert [len(line) for line in screen.lines] == [80] * 24
        assert {character for line in screen.lines for character in line} <= ALLOWED

    play(socket_path, server, application, look)


@pytest.mark.usefixtures("begun")
def test_racks(socket_path: Path, server: Served, application: FakeApplication) -> None:
    application.inventory = racked()

    async def look(screen: Screen) -> None:
        await screen.sees("run run-1", "rack b2")
        check("racks", screen.text)

    play(socket_path, server, application, look)


def test_the_first_admin_and_the_certificate(socket_path: Path, application: FakeApplication) -> None:
    """The code of now, as the daemon tells it; and none once there is an admin, though no event tells of one."""
    with fake_access() as access:
        urls = ("https://rack.example:8443", "https://10.0.0.5:8443")
        app = create_app(application, access, SystemRng(), fingerprint="ab" * 32, urls=urls)
        code = access.desk.setup_code
        assert code

        async def look(screen: Screen) -> None:
            await screen.sees(f"! No admin yet: the setup code {code} makes the first one.", "ab" * 32, *urls)
            ann = UserRequest(name="ann", role=Role.ADMIN, password="a long password")
            await asyncio.to_thread(Client(socket_path).add_user, ann)
            await screen.until(lambda: "setup code" not in screen.text)

        with served_app(app, socket_path) as server:
            play(socket_path, server, application, look)


@pytest.mark.usefixtures("begun")
@pytest.mark.parametrize("terminal", [VT100, LINUX], ids=["vt100", "linux"])
def test_glyphs(terminal: Terminal, socket_path: Path, server: Served, application: FakeApplication) -> None:
    """The rules and the bars are drawn where the console can, and nothing else ever is."""

    async def look(screen: Screen) -> None:
        await screen.sees("run run-1", "5 machines")
        seen = {character for line in screen.lines for character in line}
        assert seen <= (ALLOWED if terminal.glyphs else ASCII)
        assert ("─" in seen, "█" in seen) == (terminal.glyphs, terminal.glyphs)

    play(socket_path, server, application, look, terminal)


def test_without_a_daemon(
    server: Served, application: FakeApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def look(screen: Screen) -> None:
        await screen.sees("the daemon does not answer")
        await screen.sees("start it:")
        check("absent", screen.text)

    play(Path("none.sock"), server, application, look)


def test_a_daemon_that_comes_back_is_shown(socket_path: Path, server: Served, application: FakeApplication) -> None:
    application.fails = MachineryError("its log is full")

    async def look(screen: Screen) -> None:
        await screen.sees("5 machines", "node-0")
        assert "no daemon" not in screen.text

    play(socket_path, server, application, look)


@pytest.mark.parametrize("name", ["overview", "machine", "plan-name", "run", "choices", "racks"])
def test_the_guide_shows_what_is_seen(name: str) -> None:
    guide = Path(__file__).parents[4] / "docs" / "guide" / "terminal.md"
    assert (GOLDEN / f"{name}.txt").read_text() in guide.read_text()
