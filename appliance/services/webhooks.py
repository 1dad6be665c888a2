"""Sends events to whoever the configuration names: at least once, in their order, each hook by itself.

The record log is the queue. What is kept on the disk is the last entry that a receiver has taken, so that a restart
goes on behind it, and a receiver that is away for a week costs nothing but its own lateness.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from appliance.conductor.memory import Memory
from appliance.errors import InnervateError, MachineryError, UsageError
from appliance.metrics import catalogue
from appliance.metrics.tally import Tally
from appliance.model.codec import to_json
from appliance.model.filter import chosen
from appliance.model.secret import Secret
from appliance.model.webhook import Webhook, WebhookBody, headers, rest
from appliance.ports import Clock
from appliance.services.views import event_view
from appliance.store.records import RECORD_KINDS, Entry

_LOGGER = logging.getLogger(__name__)
_BATCH = 100
_OTHERS = 0o077

Post = Callable[[bytes, Mapping[str, str]], Awaitable[None]]
"""Raises `InnervateError` unless the receiver has taken it."""


class Position:
    """The last entry that the receiver has taken, in a file of its own."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> int | None:
        """None for a hook that has sent nothing yet. Raises `MachineryError`."""
        try:
            return int(self._file.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            action = "remove it: then the hook begins with what comes next"
            raise MachineryError(
                f"{self._file} cannot be read", evidence=str(error)[:300], next_action=action
            ) from error

    def keep(self, seq: int) -> None:
        """On the disk when it returns, the old or the new one whole."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_suffix(".new")
        with draft.open("w") as opened:
            opened.write(f"{seq}\n")
            opened.flush()
            os.fsync(opened.fileno())
        draft.replace(self._file)


class Courier:
    """Of one hook. A hook that is new begins with what comes next: nobody wants last year's events."""

    def __init__(
        self,
        *,
        hook: Webhook,
        site: str,
        secret: Secret,
        memory: Memory,
        position: Position,
        post: Post,
        clock: Clock,
        tally: Tally,
    ) -> None:
        self._hook, self._site, self._secret = hook, site, secret
        self._memory, self._position, self._post = memory, position, post
        self._clock, self._tally = clock, tally
        self._kinds = kinds_of(hook)

    async def run(self) -> None:
        """Forever; what fails is tried again, later and later."""
        failures = 0
        while True:
            try:
                await self._follow()
            except (InnervateError, OSError) as error:
                failures += 1
                _LOGGER.warning("webhook %s stands still, try %d: %s", self._hook.name, failures, error)
                await self._clock.sleep(rest(failures))

    async def _follow(self) -> None:
        after = await self._start()
        while True:
            tick, known = self._memory.tick, self._memory.world.last_seq
            entries = await self._memory.read(after=after, machine=None, limit=_BATCH, kinds=self._kinds)
            for entry in entries:
                await self._deliver(entry)
                await asyncio.to_thread(self._position.keep, entry.seq)
            after = entries[-1].seq if entries else max(after, known)
            if not entries:
                await self._memory.changed(tick, None)

    async def _start(self) -> int:
        """A log that was restored from a backup may be behind the receiver."""
        latest = self._memory.world.last_seq
        kept = await asyncio.to_thread(self._position.read)
        if kept is None or kept > latest:
            await asyncio.to_thread(self._position.keep, latest)
            return latest
        return kept

    async def _deliver(self, entry: Entry) -> None:
        failures = 0
        while not await self._taken(entry, failures):
            failures += 1
            await self._clock.sleep(rest(failures))

    async def _taken(self, entry: Entry, failures: int) -> bool:
        body = to_json(WebhookBody(site=self._site, event=event_view(entry)))
        signed = headers(body, kind=entry.record.record, seq=entry.seq, at=self._clock.now(), secret=self._secret)
        try:
            await self._post(body, signed)
        except InnervateError as error:
            self._tally.add(catalogue.WEBHOOKS, self._hook.name, "failed")
            if failures & (failures - 1) == 0:  # at powers of two: a receiver that is away must not fill the log
                _LOGGER.warning("%s: %s; event %d, try %d", error, error.evidence, entry.seq, failures + 1)
            return False
        self._tally.add(catalogue.WEBHOOKS, self._hook.name, "ok")
        return True


def kinds_of(hook: Webhook) -> frozenset[str] | None:
    """None for all. Raises `UsageError` for a pattern that fits none."""
    return chosen(",".join(hook.kinds), RECORD_KINDS, f"kind of events for webhook {hook.name}:") or None


def secret_of(hook: Webhook) -> Secret:
    """Raises `UsageError`."""
    file = hook.secret_file
    try:
        is_open, text = file.stat().st_mode & _OTHERS, file.read_text().strip()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the secret of webhook {hook.name} cannot be read",
            evidence=f"{file}: {error}",
            next_action="write a random text into it, and give it to the receiver too",
        ) from error
    if is_open or not text:
        raise UsageError(
            f"the secret of webhook {hook.name} is none",
            evidence=f"{file} {'can be read by others' if is_open else 'is empty'}",
            next_action=f"head -c 32 /dev/urandom | base64 > {file}; chmod 600 {file}",
        )
    return Secret(text)
