"""Sends events to whoever the configuration names: at least once, in their order, each hook by itself.

The record log is the queue. What is kept on the disk is the last entry that a receiver has taken, so that a restart
goes on behind it, and a receiver that is away for a day costs nothing but its own lateness. What has grown too old by
then is given up, and the log says so.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

from appliance.conductor.memory import Memory
from appliance.errors import InnervateError, MachineryError, UsageError
from appliance.metrics import catalogue
from appliance.metrics.tally import Tally
from appliance.model.codec import to_json
from appliance.model.filter import chosen
from appliance.model.secret import Secret
from appliance.model.webhook import Webhook, WebhookBody, headers, is_given_up, rest
from appliance.ports import Clock
from appliance.services.views import event_view
from appliance.store.records import RECORD_KINDS, Entry, WebhookGaveUp

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
        self._kinds, self._failures = kinds_of(hook), 0

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
            await self._deliver(entries)
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

    async def _deliver(self, entries: Sequence[Entry]) -> None:
        while entries:
            if lost := tuple(takewhile(self._is_lost, entries)):
                await self._give_up(lost)
                entries = entries[len(lost) :]
            elif await self._taken(entries[0]):
                await asyncio.to_thread(self._position.keep, entries[0].seq)
                self._failures, entries = 0, entries[1:]
            else:
                self._failures += 1
                await self._clock.sleep(rest(self._failures))

    def _is_lost(self, entry: Entry) -> bool:
        return is_given_up(self._hook, age=self._clock.now() - entry.time, failures=self._failures)

    async def _give_up(self, lost: Sequence[Entry]) -> None:
        """On the log before the place moves on; not for what was itself such a record: these would never end."""
        events = [entry for entry in lost if not isinstance(entry.record, WebhookGaveUp)]
        if events:
            first, last = events[0].seq, events[-1].seq
            gone = WebhookGaveUp(hook=self._hook.name, first=first, last=last, events=len(events))
            await self._memory.remember(gone)
        self._tally.add(catalogue.WEBHOOKS_LOST, self._hook.name, by=len(lost))
        _LOGGER.warning("webhook %s gave up %d events up to %d", self._hook.name, len(lost), lost[-1].seq)
        await asyncio.to_thread(self._position.keep, lost[-1].seq)

    async def _taken(self, entry: Entry) -> bool:
        body = to_json(WebhookBody(site=self._site, event=event_view(entry)))
        signed = headers(body, kind=entry.record.record, seq=entry.seq, at=self._clock.now(), secret=self._secret)
        try:
            await self._post(body, signed)
        except InnervateError as error:
            self._tally.add(catalogue.WEBHOOKS, self._hook.name, "failed")
            if self._failures & (self._failures - 1) == 0:  # at powers of two: the log must not fill
                _LOGGER.warning("%s: %s; event %d, try %d", error, error.evidence, entry.seq, self._failures + 1)
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
