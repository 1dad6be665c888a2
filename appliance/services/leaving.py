"""Leaving a site: BMCs are handed over, proven; then what the appliance knows is erased."""

import asyncio
import base64
import io
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from appliance.backup.envelope import SCRYPT_COST, Sealing, checked
from appliance.bmc.discovery import Login
from appliance.bmc.port import BmcDialler
from appliance.errors import ConflictError, UsageError
from appliance.model.leaving_views import (
    Erasure,
    Fate,
    LeaveRequest,
    LeaveView,
    LeftBmcView,
    ResetRequest,
    ResetView,
)
from appliance.model.secret import Secret
from appliance.ports import Clock, Rng


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBmc:
    """`login` is the one that its owner has from now on; None where a person gave it."""

    view: LeftBmcView
    login: Login | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Eraser:
    """`begin` returns at once: the answer has to leave before the daemon ends. Raises `MachineryError`."""

    erases: Erasure
    begin: Callable[[], Awaitable[None]]


class LeavingDesk:
    """Implements `appliance.api.port.Leaving`. `busy` says what is under way, "" for nothing; `stranger` makes a
    dialler that shares nothing with the one of `hand_over`."""

    def __init__(
        self,
        *,
        site: str,
        hand_over: Callable[[BmcDialler], Awaitable[Sequence[LeftBmc]]],
        stranger: Callable[[], BmcDialler],
        keys: Callable[[], tuple[str, ...]],
        busy: Callable[[], str],
        eraser: Eraser,
        clock: Clock,
        rng: Rng,
        cost: int = SCRYPT_COST,
    ) -> None:
        self._site, self._hand_over, self._keys, self._busy = site, hand_over, keys, busy
        self._stranger = stranger
        self._eraser, self._clock, self._rng, self._cost = eraser, clock, rng, cost

    async def leave(self, request: LeaveRequest) -> LeaveView:
        """The vault keeps the new log-ins until a reset: an answer that was lost is had by asking again."""
        self._confirm(request.site)
        phrase = checked(request.passphrase)
        left = await self._proven()
        text = document(self._site, self._clock.now(), left)
        sealed = await asyncio.to_thread(self._sealed, text, phrase)
        views = tuple(one.view for one in left)
        return LeaveView(bmcs=views, hand_over=base64.b64encode(sealed).decode(), keys=self._keys())

    async def reset(self, request: ResetRequest) -> ResetView:
        self._confirm(request.site)
        await self._eraser.begin()
        return ResetView(erases=self._eraser.erases)

    async def _proven(self) -> Sequence[LeftBmc]:
        stranger = self._stranger()
        try:
            return await self._hand_over(stranger)
        finally:
            await stranger.close()

    def _confirm(self, site: str) -> None:
        if site != self._site:
            seen = f"{site!r:.80} is not {self._site!r}"
            raise UsageError("that is another site", evidence=seen, next_action=f"type {self._site}")
        if busy := self._busy():
            action = "wait for its end, or cancel it: innervate runs"
            raise ConflictError("the site cannot be left in the middle of a run", evidence=busy, next_action=action)

    def _sealed(self, text: str, phrase: Secret) -> bytes:
        out = io.BytesIO()
        sealing = Sealing(out, phrase, self._rng, cost=self._cost)
        sealing.write(text.encode())
        sealing.finish()
        return out.getvalue()


def document(site: str, now: float, left: Sequence[LeftBmc]) -> str:
    """What a person reads: a line a BMC whose log-in nobody else has."""
    moment = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    lines = [f"Log-ins of the BMCs of {site}, handed over {moment}", ""]
    for one in left:
        if one.login is not None:
            said = f"{one.view.url}  {one.login.user}  {one.login.password.reveal()}  {one.view.fate.value}"
            lines.append(f"{said}  {one.view.machine}".rstrip())
    return "\n".join((*lines, ""))


def unreached(view: LeftBmcView, login: Login | None, problem: str, evidence: str) -> LeftBmc:
    view = replace(view, fate=Fate.NOT_REACHED, problem=problem, evidence=evidence)
    return LeftBmc(view=view, login=login)
