"""Runs to figures: medians, ratios paired by round, goals; as a table for people and as JSON. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import assert_never

from tests.bench.case import Comparison, Goal, Outcome, Run, Size

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`value` is None when a run that it needs gave no figure: then the goal is not met. `rounds` are the single
    ratios (or figures) behind it."""

    goal: Goal
    value: float | None
    rounds: Sequence[float]
    met: bool


def medians(outcome: Outcome, case: str, contender: str) -> dict[str, float]:
    """Of each metric over the rounds that gave figures."""
    runs = [run.metrics for run in outcome.runs if (run.case, run.contender) == (case, contender) and not run.error]
    return {name: median(run[name] for run in runs) for name in (runs[0] if runs else ())}


def ratios(outcome: Outcome, goal: Goal) -> list[float]:
    """Ours / peer in each round where both gave a figure."""
    peers = {run.round: run for run in _matching(outcome, goal, goal.peer)}
    return [
        run.metrics[goal.metric] / peers[run.round].metrics[goal.metric]
        for run in _matching(outcome, goal, goal.ours)
        if run.round in peers and peers[run.round].metrics[goal.metric]
    ]


def verdict(outcome: Outcome, goal: Goal) -> Verdict:
    if goal.peer:
        rounds = ratios(outcome, goal)
        value = median(rounds) if rounds else None
    else:
        rounds = [run.metrics[goal.metric] for run in _matching(outcome, goal, goal.ours)]
        value = _worst(rounds, goal.comparison) if rounds else None
    failed = any(run.error for run in outcome.runs if run.case == goal.case and run.contender in (goal.ours, goal.peer))
    met = value is not None and not failed and _holds(value, goal.comparison, goal.bound)
    return Verdict(goal=goal, value=value, rounds=rounds, met=met)


def _matching(outcome: Outcome, goal: Goal, contender: str) -> list[Run]:
    return [run for run in outcome.runs if (run.case, run.contender) == (goal.case, contender) and not run.error]


def _worst(values: Sequence[float], comparison: Comparison) -> float:
    return min(values) if comparison == ">=" else max(values)


def _holds(value: float, comparison: Comparison, bound: float) -> bool:
    match comparison:
        case ">=":
            return value >= bound
        case "<=":
            return value <= bound
        case "<":
            return value < bound
        case _:
            assert_never(comparison)


def as_json(outcome: Outcome) -> dict[str, JsonValue]:
    last = max((run.round for run in outcome.runs), default=0)
    return {
        "name": outcome.name,
        "quick": outcome.size is Size.QUICK,
        "rounds": [[_run(run) for run in outcome.runs if run.round == number] for number in range(1, last + 1)],
        "ours": _figures(outcome, ours=True),
        "peers": _figures(outcome, ours=False),
        "goals": {goal.id: _goal(verdict(outcome, goal)) for goal in outcome.goals},
    }


def _run(run: Run) -> JsonValue:
    return {"case": run.case, "contender": run.contender, "metrics": {**run.metrics}, "error": run.error}


def _figures(outcome: Outcome, *, ours: bool) -> dict[str, JsonValue]:
    """contender -> case -> metric -> median."""
    found: dict[str, dict[str, JsonValue]] = {}
    for run in outcome.runs:
        if run.ours is ours:
            figures: dict[str, JsonValue] = {**medians(outcome, run.case, run.contender)}
            found.setdefault(run.contender, {})[run.case] = figures
    return {**found}


def _goal(found: Verdict) -> JsonValue:
    goal = found.goal
    return {
        "value": found.value,
        "goal": goal.bound,
        "met": found.met,
        "comparison": goal.comparison,
        "case": goal.case,
        "metric": goal.metric,
        "ours": goal.ours,
        "peer": goal.peer or None,
        "rounds": [*found.rounds],
    }


def as_text(outcome: Outcome) -> str:
    blocks = [_table(outcome, case) for case in dict.fromkeys(run.case for run in outcome.runs)]
    return "\n\n".join([*blocks, _goals(outcome), *_errors(outcome)])


def _table(outcome: Outcome, case: str) -> str:
    """A row for each contender: the medians, then the single runs of the first metric."""
    contenders = dict.fromkeys(run.contender for run in outcome.runs if run.case == case)
    rows = {name: medians(outcome, case, name) for name in contenders}
    metrics = list(dict.fromkeys(metric for row in rows.values() for metric in row))
    head = [case, *metrics, f"runs of {metrics[0]}" if metrics else "no figures"]
    body = [
        [
            name,
            *(_number(row[metric]) if metric in row else "-" for metric in metrics),
            _runs(outcome, case, name, metrics),
        ]
        for name, row in rows.items()
    ]
    return _aligned([head, *body])


def _runs(outcome: Outcome, case: str, contender: str, metrics: Sequence[str]) -> str:
    runs = [run for run in outcome.runs if (run.case, run.contender) == (case, contender)]
    return " ".join("failed" if run.error else _number(run.metrics[metrics[0]]) for run in runs)


def _goals(outcome: Outcome) -> str:
    head = ["goal", "value", "wanted", "reached", "of", "rounds"]
    return _aligned([head, *(_goal_row(verdict(outcome, goal)) for goal in outcome.goals)])


def _goal_row(found: Verdict) -> list[str]:
    goal = found.goal
    value = "-" if found.value is None else _number(found.value)
    what = f"{goal.case} {goal.metric}: {goal.ours}" + (f" / {goal.peer}" if goal.peer else "")
    wanted = f"{goal.comparison} {_number(goal.bound)}"
    return [goal.id, value, wanted, "yes" if found.met else "no", what, " ".join(map(_number, found.rounds))]


def _errors(outcome: Outcome) -> list[str]:
    lines = [
        f"failed in round {run.round}: {run.case} {run.contender}: {run.error}" for run in outcome.runs if run.error
    ]
    return ["\n".join(lines)] if lines else []


def _number(value: float) -> str:
    if value == int(value) or abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
