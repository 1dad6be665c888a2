"""What keeps a plan from beginning, found out right before it begins: for people, programs and the daemon itself."""

from collections.abc import Collection

from appliance.api.common import Doctor
from appliance.frontend.preflight import PATIENCE, refuse, unforeseen
from appliance.model.doctor import Check, DoctorRequest, DoctorView, Finding
from appliance.model.step import StepKind
from appliance.plan import Plan
from appliance.ports import Clock

FRESH_SECONDS = 120.0
"""What was found counts for so long, where nothing stands in the way."""
_STANDING_SECONDS = 5.0
"""And so long where something does: whoever has mended it need not wait."""
_SOON_SECONDS = 1.0
"""What destroys nothing waits no longer for findings: a press of the button is not to feel slow."""


class Preflight:
    def __init__(self, desk: Doctor, clock: Clock) -> None:
        self._desk, self._clock = desk, clock

    async def allow(self, plan: Plan, despite: Collection[Check] = ()) -> None:
        """Examines where that was long ago. Raises `RefusedError` while a failure of the site stands in the way that
        is not one of `despite`."""
        if plan.steps:
            await self.examined(destroys=any(step.kind is StepKind.DESTRUCTIVE for step in plan.steps))
            refuse(self._desk.standing(), despite)

    def against(self, plan: Plan, despite: Collection[Check]) -> Finding | None:
        """The worst that stands in the way of a plan now, as far as it is known."""
        found = unforeseen(self._desk.standing(), despite) if plan.steps else ()
        return found[0] if found else None

    async def examined(self, *, destroys: bool) -> None:
        """Returns when the findings are fresh, or patience is at its end."""
        view = self._desk.doctor()
        if not view.running and not self._is_fresh(view):
            view = self._desk.start(DoctorRequest())
        patient = destroys or bool(unforeseen(self._desk.standing(), ()))
        end = self._clock.monotonic() + (PATIENCE if patient else _SOON_SECONDS)
        while view.running and (left := end - self._clock.monotonic()) > 0:
            view = await self._desk.look(view.version, left)

    def _is_fresh(self, view: DoctorView) -> bool:
        longest = _STANDING_SECONDS if unforeseen(view.findings, ()) else FRESH_SECONDS
        return view.ended is not None and 0 <= self._clock.now() - view.ended < longest
