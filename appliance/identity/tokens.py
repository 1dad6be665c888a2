"""One-time tokens on their way to machines: made, put into the drive of the BMC, and taken out again."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from appliance.bmc.port import MediaControl
from appliance.conductor.memory import Memory
from appliance.errors import BmcUnsupportedError, InnervateError, RefusedError
from appliance.identity.drive import is_ours
from appliance.identity.key import ApplianceKey
from appliance.model.bmc import BmcEndpoint, MediaSlot
from appliance.model.identity import TOKEN_SECONDS, Placed
from appliance.model.ids import MachineName, Nonce
from images.agent.medium import volume

_LOGGER = logging.getLogger(__name__)
_DISCS = frozenset({"CD", "DVD"})


class Drives(Protocol):
    """Where BMCs fetch what they are to carry."""

    def offer(self, host: str, data: bytes) -> str:
        """The URL for the BMC `host`. May block. Raises `InnervateError`."""
        ...

    def withdraw(self, url: str) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lying:
    """A medium in a drive. `token` is the id of what is on it."""

    slot: str
    url: str
    token: str
    timer: asyncio.TimerHandle


class BmcTokens:
    """Implements `appliance.conductor.hands.Tokens`. Lives on the daemon's loop."""

    def __init__(
        self,
        *,
        key: ApplianceKey,
        drives: Drives,
        memory: Memory,
        bmc_of: Callable[[MachineName], MediaControl],
        endpoint_of: Callable[[MachineName], BmcEndpoint],
    ) -> None:
        self._key, self._drives, self._memory = key, drives, memory
        self._bmc_of, self._endpoint_of = bmc_of, endpoint_of
        self._lying: dict[MachineName, _Lying] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        memory.on_change(self._follow)

    async def place(self, machine: MachineName, nonce: Nonce, number: int) -> str:
        bmc = self._bmc_of(machine)
        slot = chosen(await bmc.media())
        if slot.inserted:
            await self._empty(machine, bmc, slot)
        self._forget(machine)
        host = urlsplit(self._endpoint_of(machine).url).hostname or ""
        image = volume(self._key.medium(machine, nonce, number))
        url = await asyncio.to_thread(self._drives.offer, host, image)
        try:
            await bmc.insert(slot.id, url)
        except BaseException:
            self._drives.withdraw(url)
            raise
        timer = asyncio.get_running_loop().call_later(TOKEN_SECONDS, self._take_out, machine)
        token = Placed(nonce=nonce, number=number, at=0.0).id
        self._lying[machine] = _Lying(slot=slot.id, url=url, token=token, timer=timer)
        return f"in drive {slot.id}, for {TOKEN_SECONDS / 60:.0f} minutes"

    def close(self) -> None:
        for machine in tuple(self._lying):
            self._forget(machine)
        for task in self._leaving:
            task.cancel()
        self._drives.close()

    async def _empty(self, machine: MachineName, bmc: MediaControl, slot: MediaSlot) -> None:
        if not is_ours(slot.image):
            raise RefusedError(
                f"the virtual drive of {machine} holds an image of somebody else's",
                evidence=f"{slot.id}: {slot.image[:200]}",
                next_action="take it out, or compare codes: innervate confirm",
            )
        await bmc.eject(slot.id)

    def _follow(self, machines: frozenset[MachineName]) -> None:
        """A token that was redeemed, or whose machine is held, has no business in a drive."""
        for machine in machines & self._lying.keys():
            state, lying = self._memory.world.machine(machine), self._lying[machine]
            redeemed = state.bound is not None and state.bound.token == lying.token
            if redeemed or state.hold is not None:
                self._take_out(machine)

    def _take_out(self, machine: MachineName) -> None:
        lying = self._forget(machine)
        if lying is not None:
            task = asyncio.get_running_loop().create_task(self._eject(machine, lying.slot), name=f"eject {machine}")
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def _forget(self, machine: MachineName) -> _Lying | None:
        lying = self._lying.pop(machine, None)
        if lying is not None:
            lying.timer.cancel()
            self._drives.withdraw(lying.url)
        return lying

    async def _eject(self, machine: MachineName, slot: str) -> None:
        """What is left in a drive is of no use to anybody: the token counts once, and for 15 minutes."""
        try:
            await self._bmc_of(machine).eject(slot)
        except InnervateError as error:
            _LOGGER.warning("machine=%s the spent token stays in drive %s: %s", machine, slot, error)


def chosen(slots: tuple[MediaSlot, ...]) -> MediaSlot:
    """A drive for discs, an empty one before one that is not. Raises `BmcUnsupportedError`."""
    discs = [slot for slot in slots if slot.media_types & _DISCS]
    if not discs:
        raise BmcUnsupportedError(
            "the BMC has no virtual drive for discs",
            evidence=", ".join(slot.id for slot in slots) or "no drive at all",
            next_action="compare codes: innervate confirm",
        )
    return min(discs, key=lambda slot: slot.inserted)
