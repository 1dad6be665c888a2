import re
from pathlib import Path

import pytest

from appliance.cli.exits import EXITS, Exit, of_error, of_run
from appliance.errors import (
    AbsentError,
    BmcError,
    ConflictError,
    InnervateError,
    LateError,
    NotFoundError,
    RefusedError,
    SiteError,
    UnreachableError,
)
from appliance.exchange import KINDS
from appliance.frontend.words import told
from appliance.model.views import RunState, RunView, StepState, StepView


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InnervateError("x"), 1),
        (BmcError("x"), 1),
        (SiteError("x"), 2),
        (NotFoundError("x"), 4),
        (ConflictError("x"), 5),
        (UnreachableError("x"), 7),
        (AbsentError("x"), 7),
        (LateError("x"), 8),
        (RefusedError("x"), 9),
    ],
)
def test_of_error(error: InnervateError, status: int) -> None:
    assert of_error(error) == status


def test_every_error_has_an_exit() -> None:
    assert set(EXITS) == set(KINDS) | {"no-daemon", "timeout", "refused"}


def test_every_exit_is_documented() -> None:
    page = (Path(__file__).parents[4] / "docs/guide/errors.md").read_text()
    rows = re.findall(r"^\| (\d+) \| \S", page.partition("## Exit statuses")[2], re.MULTILINE)
    assert [int(row) for row in rows] == [status.value for status in Exit]


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ({}, Exit.OK),
        ({"a": "done", "b": "done"}, Exit.OK),
        ({"a": "done", "b": "failed"}, Exit.PARTIAL),
        ({"a": "failed", "b": "pending"}, Exit.FAILURE),
        ({"a": "done", "b": "cancelled"}, Exit.PARTIAL),
        ({"a": "cancelled"}, Exit.FAILURE),
    ],
)
def test_of_run(states: dict[str, str], status: Exit) -> None:
    steps = tuple(
        StepView(id=name, machine=name, score="", summary="", kind="read", budget=1, state=StepState(state))
        for name, state in states.items()
    )
    assert of_run(RunView(id="r", plan="", state=RunState.DONE, started=0, ended=1, steps=steps)) == status


def test_told() -> None:
    error = BmcError("no \x1b[31manswer", evidence="two\nlines", next_action="look")
    assert told(error) == "error: no answer\n  seen: two lines\n  next: look"
    assert told(BmcError("bare")) == "error: bare"
