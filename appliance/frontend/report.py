"""The hand-over report as a document. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.frontend.document import drawn
from appliance.frontend.timeline import means
from appliance.model.report_views import HandedOver, ReportView
from appliance.model.standing import STANDINGS, Standing, standing
from appliance.model.views import StepState
from appliance.model.words import STAGES

_NOWHERE = "without a place"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The machines of one rack, the highest first."""

    rack: str
    machines: tuple[HandedOver, ...]


def body(view: ReportView) -> str:
    """For a page that has a head and a style of its own."""
    return drawn(
        "_report",
        view=view,
        racks=racks(view),
        counts=tuple(counts(view)),
        stages=STAGES,
        means=means,
        troubles=troubles,
        took=took,
    )


def page(view: ReportView) -> str:
    """A file of its own."""
    return drawn("alone", title=f"Hand-over report, {view.site}", content=body(view))


def racks(view: ReportView) -> tuple[Shelf, ...]:
    found: dict[str, list[HandedOver]] = {}
    for one in sorted(view.machines, key=_order):
        found.setdefault(one.machine.place.rack if one.machine.place else _NOWHERE, []).append(one)
    return tuple(Shelf(rack=rack, machines=tuple(machines)) for rack, machines in found.items())


def _order(one: HandedOver) -> tuple[bool, str, int, str]:
    place = one.machine.place
    return (place is None, place.rack if place else "", -place.unit if place else 0, one.machine.name)


def counts(view: ReportView) -> Iterator[tuple[Standing, int]]:
    known = [standing(one.machine) for one in view.machines]
    return ((word, known.count(word)) for word in STANDINGS if word in known)


def troubles(one: HandedOver) -> tuple[str, ...]:
    """What is wrong with it now, and what failed on the way."""
    now = [f"{condition.kind.value}: {condition.reason}" for condition in one.machine.conditions]
    failed = [f"{work.summary} (run {work.run}): {work.problem}" for work in one.work if work.problem]
    return tuple(dict.fromkeys((*now, *failed)))


def took(one: HandedOver) -> float | None:
    """Seconds from the first to the last of its steps in the run that wrote its disk last; None where none did."""
    wrote = [work.run for work in one.work if work.kind == "destructive" and work.state == StepState.DONE.value]
    ended = [work for work in one.work if wrote and work.run == wrote[-1] and work.ended is not None]
    return max(work.ended or 0 for work in ended) - min(work.started for work in ended) if ended else None
