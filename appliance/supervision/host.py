"""Programs of this machine that run as long as the daemon does."""

import asyncio
import contextlib
import os
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Sequence

from appliance.errors import MachineryError
from images.processes import SBIN

# It ends when the daemon's main thread does, kill -9 included; CAP_NET_RAW is the daemon's alone (setpriv(1)).
_APART = ("setpriv", "--pdeathsig=TERM", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs")
_LINE_LIMIT = 1 << 16


class HostChild:
    def __init__(self, process: Process, said: Callable[[str], None]) -> None:
        self._process = process
        self._listening = asyncio.create_task(_listen(process, said))

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def wait(self) -> int:
        status = await self._process.wait()
        # What it started may hold the pipe open.
        await asyncio.wait([self._listening], timeout=1)
        self._listening.cancel()
        return status


class HostChildren:
    async def start(self, argv: Sequence[str], said: Callable[[str], None]) -> HostChild:
        path = os.pathsep.join((os.environ.get("PATH", os.defpath), *SBIN))
        try:
            process = await asyncio.create_subprocess_exec(
                *_APART,
                *argv,
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
                limit=_LINE_LIMIT,
                env={"PATH": path, "LC_ALL": "C.UTF-8"},
            )
        except OSError as error:
            raise MachineryError(
                f"{argv[0]} did not start", evidence=str(error), next_action="install it: see docs/guide/registry.md"
            ) from error
        return HostChild(process, said)


async def _listen(process: Process, said: Callable[[str], None]) -> None:
    stream = process.stdout
    while stream is not None:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the limit: what was read of it is gone
            continue
        if not line:
            return
        said(line.decode("utf-8", "replace").rstrip())
