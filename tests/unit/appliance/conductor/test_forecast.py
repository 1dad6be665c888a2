"""How long steps take together: a table of racks, and what the past says of kinds of steps."""

import pytest

from appliance.conductor.forecast import Work, together
from appliance.conductor.past import Past, Timed
from appliance.model.ids import MachineName, StepId
from appliance.model.rollout import Rollout

FREE = Rollout()


def work(*steps: str) -> tuple[Work, ...]:
    """ "a.write 30 a.boot": the step `write` of machine `a` takes 30 s and needs its step `boot`."""
    made = []
    for text in steps:
        step, seconds, *needs = text.split()
        machine = MachineName(step.partition(".")[0])
        made.append(
            Work(id=StepId(step), machine=machine, seconds=float(seconds), needs=tuple(StepId(need) for need in needs))
        )
    return tuple(made)


def alike(count: int, seconds: float = 10.0) -> tuple[Work, ...]:
    return work(*(f"node-{number}.write {seconds}" for number in range(count)))


def first(*names: str, at_once: int = 0) -> Rollout:
    return Rollout(canary=tuple(map(MachineName, names)), at_once=at_once)


CHAIN = ("a.boot 20", "a.look 5 a.boot", "a.write 30 a.look")
TWO = (*CHAIN, "b.boot 20", "b.look 5 b.boot", "b.write 50 b.look")
CROSSED = ("a.found 30", "b.join 10 a.found", "c.join 25 a.found", "a.confirm 5 b.join c.join")
UNEVEN = ("a.x 30", "b.x 10", "c.x 10", "d.x 10")


@pytest.mark.parametrize(
    ("steps", "rollout", "entered", "seconds"),
    [
        ((), FREE, (), 0),
        (work(*CHAIN), FREE, (), 55),
        (work(*TWO), FREE, (), 75),
        (work("a.boot 20", "a.other 5"), FREE, (), 25),
        (work(*CROSSED), FREE, (), 60),
        (work("a.write 30 a.done-long-ago"), FREE, (), 30),
        (alike(7), first(at_once=2), (), 40),
        (alike(7), first(at_once=7), (), 10),
        (alike(7), first("node-0"), (), 20),
        (alike(7), first("node-0", "node-3"), (), 20),
        (alike(7), first("node-0", at_once=2), (), 40),
        (alike(7), first("node-9", at_once=2), (), 40),
        (work(*UNEVEN), first(at_once=2), (), 30),
        (work(*reversed(UNEVEN)), first(at_once=2), (), 40),
        (alike(3), first(at_once=1), ("node-2",), 30),
        (work("a.x 3", "b.x 10", "c.x 10"), first(at_once=1), ("a",), 23),
        (work("a.x 3", "b.x 7", "c.x 10"), first(at_once=1), ("a", "b"), 17),
        (work("a.x 3", "b.x 7", "c.x 10"), first("a", at_once=2), ("a", "b"), 13),
        (work(*CROSSED), first(at_once=2), (), 60),
    ],
    ids=[
        "nothing",
        "chain",
        "two-machines",
        "one-at-a-time-on-a-machine",
        "one-waits-for-others",
        "need-that-is-done",
        "waves-of-two",
        "room-for-all",
        "canary-first",
        "two-canaries",
        "canary-then-waves",
        "canary-that-is-through",
        "a-long-one-beside-short-ones",
        "a-long-one-last",
        "who-is-inside-goes-first",
        "room-when-it-is-through",
        "more-inside-than-may-be",
        "canary-and-another-inside",
        "who-waits-for-others-keeps-no-room",
    ],
)
def test_together(steps: tuple[Work, ...], rollout: Rollout, entered: tuple[str, ...], seconds: float) -> None:
    assert together(steps, rollout, tuple(map(MachineName, entered))) == seconds


@pytest.mark.parametrize(
    ("seen", "model", "expected"),
    [
        ((), "R640", None),
        ((("R640", "boot", 9.0),), "R640", None),
        ((("R640", "write", 9.0),), "R640", Timed(seconds=9.0, own=True)),
        ((("R640", "write", 9.0), ("R650", "write", 3.0)), "R640", Timed(seconds=9.0, own=True)),
        ((("R640", "write", 9.0), ("R650", "write", 3.0)), "", Timed(seconds=9.0, own=False)),
        (tuple(("R640", "write", float(number)) for number in range(100)), "R640", Timed(seconds=94.0, own=True)),
    ],
    ids=["nothing", "another-kind", "once", "own-model-counts", "other-models", "95-of-100"],
)
def test_what_the_past_says(seen: tuple[tuple[str, str, float], ...], model: str, expected: Timed | None) -> None:
    past = Past()
    for one in seen:
        past.saw_done(*one)
    assert past.timed(model, "write") == expected
