"""One examination after the other: all checks at once, and findings as they come."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from appliance.doctor.say import unknown
from appliance.errors import InnervateError
from appliance.model.doctor import Check, DoctorRequest, DoctorView, Finding, ranked
from appliance.ports import Clock

_LOGGER = logging.getLogger(__name__)

CHECK_SECONDS = 60.0
"""No check may take longer; one of a large image takes seconds."""

Examine = Callable[[DoctorRequest], Awaitable[tuple[Finding, ...]]]
"""Raises `InnervateError` where it could not find out."""


class DoctorDesk:
    """Implements `appliance.api.common.Doctor`. Lives on one event loop."""

    def __init__(self, checks: Mapping[Check, Examine], clock: Clock) -> None:
        self._checks, self._clock = checks, clock
        self._view = DoctorView()
        self._former: tuple[Finding, ...] = ()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, request: DoctorRequest) -> DoctorView:
        """Twice is as once, while it lasts."""
        if not self._view.running:
            self._former, waiting = self._view.findings, tuple(self._checks)
            now = self._clock.now()
            self._show(replace(self._view, running=True, started=now, ended=None, waiting=waiting, findings=()))
            self._task = asyncio.create_task(self._all(request), name="doctor")
        return self._view

    def doctor(self) -> DoctorView:
        return self._view

    def standing(self) -> tuple[Finding, ...]:
        former = (one for one in self._former if one.check in self._view.waiting)
        return ranked((*self._view.findings, *former))

    async def look(self, seen: int, wait: float) -> DoctorView:
        """At once where the view is another one than `seen`, else when it is or `wait` seconds have passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while self._view.version == seen:
                    await self._changed.wait()
        return self._view

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _all(self, request: DoctorRequest) -> None:
        await asyncio.gather(*(self._one(check, examine, request) for check, examine in self._checks.items()))
        self._show(replace(self._view, running=False, ended=self._clock.now()))

    async def _one(self, check: Check, examine: Examine, request: DoctorRequest) -> None:
        found = await self._found(check, examine, request)
        waiting = tuple(one for one in self._view.waiting if one is not check)
        self._show(replace(self._view, waiting=waiting, findings=ranked(self._view.findings + found)))

    async def _found(self, check: Check, examine: Examine, request: DoctorRequest) -> tuple[Finding, ...]:
        """A check that fails hides none of the others."""
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return await examine(request)
        except InnervateError as error:
            return (unknown(check, str(error), error.evidence, error.next_action, "innervate doctor"),)
        except TimeoutError:
            cause = f"this check was not done after {CHECK_SECONDS:.0f} s"
            return (unknown(check, cause, "", "try again when the appliance is less busy", "innervate doctor"),)
        except Exception:
            _LOGGER.exception("check %s", check.value)
            action = "read the daemon's log, and report it"
            return (unknown(check, "the check itself failed", "", action, "journalctl -u innervate"),)

    def _show(self, view: DoctorView) -> None:
        self._view = replace(view, version=self._view.version + 1)
        self._changed.set()
        self._changed = asyncio.Event()
