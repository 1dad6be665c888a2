"""A load balancer on this machine: haproxy with a master and a worker, told of changes without dropping a connection.

A reload starts a worker that takes the listening sockets over, and knows from the old one which backends are well; the
old worker sees its connections to their end."""

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.balancer.config import Paths, rendered
from appliance.balancer.link import AdminSocket
from appliance.balancer.state import BackendState
from appliance.errors import MachineryError
from appliance.files import write_whole
from appliance.model.balancer import Balancing
from appliance.ports import Clock
from appliance.supervision.keeper import Keeper
from appliance.supervision.ports import Children
from images.errors import ToolError
from images.ports import Processes

PROGRAM = "haproxy"
_CHECK_SECONDS, _RELOAD_SECONDS = 20.0, 20.0
_PACE = 0.05
_NO_STATES = b"1\n"
"""The version of a table without rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerFiles:
    """`folder` only for the appliance's user; a Unix socket's path may have 100 bytes."""

    folder: Path

    @property
    def configuration(self) -> Path:
        return self.folder / "haproxy.cfg"

    @property
    def paths(self) -> Paths:
        return Paths(admin=self.folder / "admin", states=self.folder / "states")


class BalancerService:
    def __init__(
        self,
        files: BalancerFiles,
        children: Children,
        processes: Processes,
        clock: Clock,
        program: Sequence[str] = (PROGRAM,),
    ) -> None:
        self._files, self._processes, self._clock, self._program = files, processes, clock, tuple(program)
        self.admin = AdminSocket(files.paths.admin)
        argv = (*self._program, "-W", "-db", "-f", str(files.configuration))
        self.keeper = Keeper("load balancer", argv, children, clock)

    def lay_out(self, balancing: Balancing) -> bool:
        """Whether that is anything new. What haproxy itself refuses never becomes its configuration. Blocks. Raises
        `MachineryError`."""
        text = rendered(balancing, self._files.paths).encode()
        target = self._files.configuration
        try:
            self._files.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if target.exists() and target.read_bytes() == text:
                return False
            draft = target.with_name("draft.cfg")
            write_whole(draft, text)
            self._examine(draft)
            if not self._files.paths.states.exists():
                write_whole(self._files.paths.states, _NO_STATES)
            draft.replace(target)
        except OSError as error:
            raise _unwritten(error) from error
        return True

    async def reload(self) -> tuple[BackendState, ...]:
        """Takes what was laid out; the backends as the new worker has them. Raises `MachineryError` where the old one
        goes on: with its old configuration."""
        before = await asyncio.to_thread(self._keep_states)
        self.keeper.signal(signal.SIGUSR2)
        until = self._clock.monotonic() + _RELOAD_SECONDS
        while await asyncio.to_thread(self._worker) in (None, before):
            if self._clock.monotonic() > until:
                raise MachineryError(
                    "the load balancer has not taken its new configuration",
                    evidence=" | ".join(self.keeper.said)[:300],
                    next_action="see: innervate doctor",
                )
            await self._clock.sleep(_PACE)
        return await asyncio.to_thread(self.admin.states)

    def _keep_states(self) -> int:
        """For the worker that comes. Which one is there now."""
        worker, states = self.admin.process(), self.admin.raw_states()
        try:
            write_whole(self._files.paths.states, states.encode())
        except OSError as error:
            raise _unwritten(error) from error
        return worker

    def _worker(self) -> int | None:
        try:
            return self.admin.process()
        except MachineryError:
            return None

    def _examine(self, draft: Path) -> None:
        try:
            done = self._processes.run([*self._program, "-c", "-f", str(draft)], timeout=_CHECK_SECONDS)
        except ToolError as error:
            raise MachineryError(str(error), evidence=error.evidence, next_action=error.next_action) from error
        if done.status:
            said = (done.output + done.errors)[-400:].decode("utf-8", "replace")
            raise MachineryError(
                "haproxy refuses what it was to be told", evidence=said, next_action="report this, with the evidence"
            )


def _unwritten(error: OSError) -> MachineryError:
    return MachineryError(
        "the load balancer's files cannot be written", evidence=str(error)[:200], next_action="check the disk"
    )
