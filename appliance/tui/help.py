"""What the keys do and what the letters mean. Pure."""

from collections.abc import Iterator

from appliance.tui.figures import LEGEND
from appliance.tui.keys import Action, keys_of
from appliance.tui.page import Page, section
from appliance.tui.state import Help, State
from appliance.tui.text import Line, Tone, line, wrapped

KEYS = "j k scroll  Esc back"
COMMANDS = (
    (":overview :runs :log :help", "a page"),
    (":provision", "plan all that the site program wants"),
    (":doctor", "look for what keeps machines from booting"),
    (":machine NAME", "a machine; a name alone does too"),
    (":log NAME", "the events of a machine"),
    (":do NAME", "what can be done with a machine"),
    (":take-over", "ask the boot network again who serves DHCP"),
    (":quit", "leave; what runs in the daemon goes on"),
)


def help_page(state: State, place: Help) -> Page:
    return Page(title="Help", body=tuple(_body(state.width)), keys=KEYS, top=place.top)


def _body(width: int) -> Iterator[Line]:
    yield line("Keys", Tone.STRONG)
    for action in Action:
        if keys := keys_of(action):
            yield from wrapped(action.value, width, first=f"  {', '.join(keys):<22}", rest=" " * 24)
    yield from section("Commands")
    for command, says in COMMANDS:
        yield from wrapped(says, width, first=f"  {command:<28}", rest=" " * 30)
    yield from section("Letters")
    yield from wrapped(", ".join(f"[{letter}] {word}" for letter, word in LEGEND), width, first="  ", rest="  ")
    yield from section("Nothing is done at once")
    says = "A plan is shown before it is carried out; its name is typed where data is lost. Enter alone always leaves."
    yield from wrapped(says, width, first="  ", rest="  ")
