"""An assignment as text: who has what and why, then each role with what it still needs."""

import textwrap
from collections.abc import Sequence
from typing import assert_never

from appliance.model.text import clean
from appliance.roles.assignment import Assignment, Decision, Filling, Holds, Outcome, SpareOf, Unused, some
from appliance.roles.disk import describe as describe_disk
from appliance.roles.rule import counted

WIDTH = 120
_LEAST = 40
_ORDER = (
    "Of machines that fit equally, those with the least cores come first, then with the least memory, disk space and "
    "NICs, then by name."
)


def explain(assignment: Assignment) -> str:
    """Lines of at most `WIDTH` characters, unless names leave no room."""
    lines = _table(("MACHINE", "ROLE", "DISK", "WHY"), [_row(decision) for decision in assignment.decisions])
    if assignment.fillings:
        lines += ["", *textwrap.wrap(_ORDER, WIDTH), "", *_roles(assignment)]
    return "".join(f"{line}\n" for line in lines)


def _roles(assignment: Assignment) -> list[str]:
    table = _table(("ROLE", "WANTED", "HAS", "SPARES", "MACHINES"), [_summary(one) for one in assignment.fillings])
    needs = [line for one in assignment.fillings if one.next_action for line in ("", *_needs(one))]
    return [*table, *needs]


def _row(decision: Decision) -> tuple[str, ...]:
    role, disk = _outcome(decision.outcome)
    return decision.machine, role, disk, decision.why


def _outcome(outcome: Outcome) -> tuple[str, str]:
    match outcome:
        case Holds(role=role, disk=disk):
            return role, clean(describe_disk(disk), 60) if disk else "-"
        case SpareOf(role=role, disk=disk):
            return f"spare of {role}", clean(describe_disk(disk), 60)
        case Unused():
            return "-", "-"
        case _:
            assert_never(outcome)


def _summary(one: Filling) -> tuple[str, ...]:
    spares = f"{len(one.spares)} of {one.spares_wanted}"
    return one.role, str(one.wanted), str(len(one.machines)), spares, some(one.machines)


def _needs(one: Filling) -> list[str]:
    missing = [f"{one.missing} of {one.wanted} missing"] if one.missing else []
    missing += [f"{one.spares_missing} of {counted(one.spares_wanted, 'spare')} missing"] if one.spares_missing else []
    rows = _table(("", ""), [(f"  {refusal.machine}", refusal.why) for refusal in one.refusals])[1:]
    next_action = textwrap.wrap(f"next: {one.next_action}", WIDTH, initial_indent="  ", subsequent_indent="    ")
    return [f"{one.role}: {' and '.join(missing)}", *rows, *next_action]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The last column is wrapped."""
    cells = [tuple(clean(cell, 1000) for cell in row) for row in (head, *rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(head) - 1)]
    indent = sum(widths) + 2 * len(widths)
    lines: list[str] = []
    for row in cells:
        first, *rest = textwrap.wrap(row[-1], max(_LEAST, WIDTH - indent)) or [""]
        start = "".join(f"{cell:<{width}}  " for cell, width in zip(row, widths, strict=False))
        lines += [f"{start}{first}".rstrip(), *(" " * indent + line for line in rest)]
    return lines
