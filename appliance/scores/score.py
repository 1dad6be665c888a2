"""What a score is: a wanted state that can say which steps lead there, given what is known now."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from appliance.inventory.model import Inventory
from appliance.model.ids import MachineName, StepId
from appliance.plan import Action, BootAgent, Inspect, Plan, Step

BOOT_AGENT_SECONDS = 1800.0
"""Two ways of starting a server share it; server firmware may need many minutes before its first packet."""
INSPECT_SECONDS = 300.0

T_contra = TypeVar("T_contra", contravariant=True)


class Score(Protocol[T_contra]):
    """`T_contra` is a Protocol of the capabilities that the score needs, see `appliance.capabilities`.

    `plan` is pure and idempotent: where the wanted state holds, the plan has no steps. Raises `PlanError`.
    """

    @property
    def name(self) -> str: ...

    def plan(self, site: T_contra, inventory: Inventory) -> Plan: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One step of a chain on one machine; `budget` in seconds."""

    do: Action
    summary: str
    budget: float


def boot_agent(name: MachineName) -> Move:
    return Move(do=BootAgent(), summary=f"boot {name} into the discovery system", budget=BOOT_AGENT_SECONDS)


def inspect(name: MachineName) -> Move:
    return Move(do=Inspect(), summary=f"read the hardware of {name}", budget=INSPECT_SECONDS)


def step_id(score: str, machine: MachineName, action: str) -> StepId:
    return StepId(f"{score}.{machine}.{action}")


def step_of(
    score: str, machine: MachineName, do: Action, summary: str, budget: float, needs: tuple[StepId, ...] = ()
) -> Step:
    """The only one of its action that the score has for the machine; `budget` in seconds."""
    return Step(
        id=step_id(score, machine, do.action),
        machine=machine,
        score=score,
        summary=summary,
        do=do,
        budget=budget,
        needs=needs,
    )


def chain(score: str, machine: MachineName, moves: Iterable[Move]) -> tuple[Step, ...]:
    """Steps of which each needs the one before. Of steps alike the second has a 2 at the end of its id."""
    steps: list[Step] = []
    seen = Counter[str]()
    for move in moves:
        seen[move.do.action] += 1
        number = f"-{seen[move.do.action]}" if seen[move.do.action] > 1 else ""
        before = tuple(step.id for step in steps[-1:])
        step = step_of(score, machine, move.do, move.summary, move.budget, before)
        steps.append(replace(step, id=StepId(f"{step.id}{number}")))
    return tuple(steps)
