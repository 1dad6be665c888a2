"""Strings of hardware and of the network that carry escapes, controls, foreign letters and fake lines: in every place
for text that the views have, on every page, on every size of screen, not one reaches a cell."""

import random
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import TypeVar

import pytest

from appliance.api.fake_findings import FINDINGS
from appliance.model.doctor import DoctorView
from appliance.model.views import EventView, HealthView, RunState, RunSummaryView, RunView
from appliance.tui.overview import says
from appliance.tui.page import text_of
from appliance.tui.scene import frame
from appliance.tui.state import (
    Choices,
    Data,
    Doctor,
    Help,
    Log,
    Machine,
    Overview,
    Place,
    Planned,
    Run,
    Runs,
    State,
    Task,
    Trouble,
)
from appliance.tui.terminal import ALLOWED, ASCII, drawn
from tests.unit.appliance.tui.rack import NOW, install, rack

T = TypeVar("T")

SEEDS = (
    "\x1b[2J\x1b[H",
    "\x1b]0;owned\x07",
    "\x1b]8;;http://x\x1b\\link",
    "\x1bP1$r0m\x1b\\",
    "\x9b31mred",
    "\x9d0;title\x9c",
    "a\r\nlab: active\r\n",
    "\x00\x01\x02\x7f\x80\x9f",
    "\b\b\b\b",
    "\t\v\f",
    "‮gnp.exe",
    "​‌‍﻿",
    "Zaͨlͧg͚o",
    "äöüßéñ",
    "服务器 サーバ",
    "🔥🖥️👩‍💻",
    "─│█░▒■",
    "[bold red]markup[/]",
    "{x!r} %s %(a)s ${HOME}",
    "'; DROP TABLE machines;--",
    "A" * 5000,
    " " * 500,
    "\u2028\u2029\u0085",
    "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
    "\x0e\x0f\x1b(0lqk\x1b(B",
)


def hostile() -> tuple[str, ...]:
    rng = random.Random(7)
    made = [*SEEDS]
    while len(made) < 200:
        made.append("".join(rng.choice(SEEDS)[: rng.randint(1, 60)] for _ in range(rng.randint(2, 6))))
    return tuple(made)


HOSTILE = hostile()


def poisoned(value: T, text: str) -> T:
    """The same view with `text` in every place for text, in the depth too."""
    return _poison(value, text)  # type: ignore[return-value]


def _poison(value: object, text: str) -> object:
    if isinstance(value, Enum) or value is None:
        return value
    if isinstance(value, str):
        return text
    if isinstance(value, tuple):
        return tuple(_poison(one, text) for one in value)
    if isinstance(value, dict):
        return {f"{key}{text}": _poison(one, text) for key, one in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _poison(getattr(value, f.name), text) for f in fields(value)})
    return value


def data(text: str) -> Data:
    application = rack()
    plan = install("node-0", "node-1")
    run = RunView(
        id="run-1",
        plan=plan.digest,
        state=RunState.RUNNING,
        started=NOW - 60,
        ended=None,
        steps=plan.steps,
        paused="x",
        canary=("node-0",),
        rollout="x",
        set_aside={"node-1": "x"},
    )
    summary = RunSummaryView(id="run-1", plan="x", state=RunState.RUNNING, started=NOW, ended=None, paused="x")
    event = EventView(seq=1, time=NOW, machine="x", run="x", kind="x", text="x", fields={"x": "x"})
    return Data(
        heard=NOW,
        health=poisoned(HealthView(version="x", ready=True, started=NOW - 60, rss_bytes=1, site="x"), text),
        machines=poisoned(tuple(application.inventory.values()), text),
        segment=poisoned(tuple(application.segment), text),
        runs=(poisoned(summary, text),),
        opened={text: poisoned(run, text)},
        explained=poisoned(application.explained["node-0"], text),
        events=(poisoned(event, text),),
        examined=DoctorView(findings=tuple(poisoned(finding, text) for finding in FINDINGS.values())),
        absent=Trouble(message=text, evidence=text, next_action=text),
    )


def places(text: str) -> Iterator[Place]:
    yield Overview()
    yield Machine(name=text)
    yield Choices(machine=text)
    yield Planned(task=Task(), plan=poisoned(install("node-0", "node-1"), text))
    yield from (Runs(), Run(run=text), Log(), Help(), Doctor())


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_no_cell_of_any_page(number: int) -> None:
    text = HOSTILE[number]
    known = data(text)
    for place in places(text):
        for width, height in ((80, 24), (40, 12), (132, 50)):
            notice = Trouble(message=text, evidence=text, next_action=text)
            state = State(now=NOW, width=width, height=height, data=known, places=(Overview(), place), notice=notice)
            rows = frame(state)
            assert len(rows) == height
            for row in rows:
                shown = "".join(part.text for part in row)
                assert len(shown) == width
                assert ASCII.issuperset(shown)


def test_the_places_for_text_are_poisoned() -> None:
    """Or else the test above tests nothing."""
    assert says(data("evil").machines[0], NOW) == "evil, for 20s, usually 34s: about 14s left"
    page = text_of(frame(State(now=NOW, data=data("evil"), places=(Machine(name="evil"),))), 80)
    assert page.count("evil") > 8


def test_what_is_drawn_is_checked_once_more() -> None:
    from appliance.tui.text import Tone

    assert drawn("a\x1b[2Jé", Tone.PLAIN, glyphs=True) == "a?[2J?"
    assert ALLOWED.issuperset(drawn("#-", Tone.BAR, glyphs=True))
