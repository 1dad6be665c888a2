"""The terminal interface on textual: keys in, lines out. What they mean is decided elsewhere."""

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App, ComposeResult
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from appliance.client import Client
from appliance.errors import UsageError
from appliance.tui.link import answers, follow
from appliance.tui.messages import Message, Pressed, Resized, Ticked
from appliance.tui.scene import frame
from appliance.tui.state import Command, Leave, State
from appliance.tui.terminal import Terminal, drawn, sent, terminal_of
from appliance.tui.text import EMPTY, Line, Tone
from appliance.tui.update import updated

_STYLES = {
    Tone.PLAIN: Style(),
    Tone.STRONG: Style(bold=True),
    Tone.DIM: Style(),
    Tone.GOOD: Style(color="green"),
    Tone.BUSY: Style(color="cyan"),
    Tone.BAD: Style(color="red", bold=True),
    Tone.WARN: Style(color="yellow"),
    Tone.HELD: Style(color="magenta"),
    Tone.TITLE: Style(reverse=True, bold=True),
    Tone.RULE: Style(),
    Tone.BAR: Style(color="cyan"),
}
_REVERSED = {tone: style + Style(reverse=True) for tone, style in _STYLES.items()}


class PlainDriver(LinuxDriver):
    """For terminals that print what they do not understand."""

    def write(self, data: str) -> None:
        if shown := sent(data, plain=True):
            super().write(shown)


class Canvas(Widget):
    """The lines of a frame; only those that changed are drawn again, so that a slow line stays usable."""

    DEFAULT_CSS = "Canvas { width: 100%; height: 100%; }"

    def __init__(self, *, glyphs: bool) -> None:
        super().__init__()
        self._glyphs = glyphs
        self._lines: tuple[Line, ...] = ()

    def show(self, lines: tuple[Line, ...]) -> None:
        before, self._lines = self._lines, lines
        if len(before) != len(lines):
            self.refresh()
            return
        changed = [Region(0, y, self.size.width, 1) for y, row in enumerate(lines) if row != before[y]]
        if changed:
            self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        row = self._lines[y] if y < len(self._lines) else EMPTY
        segments = (
            Segment(
                drawn(part.text, part.tone, glyphs=self._glyphs), (_REVERSED if part.selected else _STYLES)[part.tone]
            )
            for part in row
        )
        return Strip(segments).adjust_cell_length(self.size.width)


class Console(App[None]):
    """`now` in seconds since the epoch. Threads tell it what the daemon says; it never waits for one."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS = []
    CSS = "Screen { layout: vertical; overflow: hidden; }"

    def __init__(self, client: Client, terminal: Terminal, now: Callable[[], float] = time.time) -> None:
        super().__init__(ansi_color=True, driver_class=PlainDriver if terminal.plain else None)
        self._client = client
        self._terminal = terminal
        self._now = now
        self._stop = threading.Event()
        self._canvas = Canvas(glyphs=terminal.glyphs)
        self.state = State(now=now())

    def compose(self) -> ComposeResult:
        yield self._canvas

    def on_mount(self) -> None:
        self.set_interval(self._terminal.tick, lambda: self.take(Ticked(now=self._now())))
        self._in_thread(lambda: follow(self._client, self._told, self._stop, self._now))

    def on_unmount(self) -> None:
        self._stop.set()

    def on_resize(self, event: events.Resize) -> None:
        self.take(Resized(width=event.size.width, height=event.size.height))

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        self.take(Pressed(key=event.key, character=event.character or ""))

    def take(self, message: Message) -> None:
        self.state, commands = updated(self.state, message)
        for command in commands:
            self._carry_out(command)
        self._canvas.show(frame(self.state))

    def _carry_out(self, command: Command) -> None:
        if isinstance(command, Leave):
            self.exit()
        else:
            self._in_thread(lambda: self._tell_all(command))

    def _tell_all(self, command: Command) -> None:
        for answer in answers(self._client, command, self._now):
            self._told(answer)

    def _told(self, message: Message) -> None:
        """From any thread; an answer that comes when the interface and its loop have ended is nobody's."""
        with suppress(RuntimeError):
            if not self._stop.is_set():
                self.call_later(self.take, message)

    def _in_thread(self, work: Callable[[], None]) -> None:
        """A thread of its own that nobody waits for at the end: it may hang in a long poll."""
        threading.Thread(target=work, daemon=True).start()


def main(client: Client) -> None:
    """Raises `UsageError` where there is no terminal to draw on."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("there is no terminal here", next_action="use `innervate menu`, or `innervate status`")
    terminal = terminal_of(os.environ, sys.stderr.encoding or "")
    Console(client, terminal).run(mouse=False)
