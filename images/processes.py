"""Subprocesses of this machine."""

import asyncio
import contextlib
import io
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import IO

from images.errors import ToolError
from images.ports import Finished, Processes, Progress

SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_LINE_LIMIT = 1 << 16


class HostProcesses:
    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        stdin: bytes = b"",
        cwd: Path | None = None,
        watch: Progress | None = None,
    ) -> Finished:
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as sink:
            source.write(stdin)
            source.seek(0)
            child = _start(argv, source, sink, cwd)
            timer = threading.Timer(timeout, _kill_group, (child,))
            timer.start()
            try:
                errors = _follow(child, watch)
                status = child.wait()
            finally:
                overran = not timer.is_alive()
                timer.cancel()
                _kill_group(child)
                child.wait()
            sink.seek(0)
            output = sink.read()
        if overran:
            raise ToolError(f"{argv[0]} took longer than {timeout:.0f} s", evidence=_tail(errors))
        return Finished(status=status, output=output, errors=errors)

    async def lines(self, argv: Sequence[str], *, seconds: float) -> AsyncGenerator[bytes, None]:
        child = await _listened_to(argv)
        loop, left = asyncio.get_running_loop(), contextlib.suppress(ProcessLookupError)
        deadline = loop.time() + seconds
        try:
            while line := await asyncio.wait_for(_line(child), deadline - loop.time()):
                yield line.rstrip(b"\n")
        except TimeoutError:
            return
        except ValueError as cause:
            raise ToolError(f"{argv[0]} printed a line that is too long", evidence=str(cause)) from cause
        finally:
            with left:
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()


def check(
    processes: Processes,
    argv: Sequence[str],
    *,
    timeout: float = 60,
    stdin: bytes = b"",
    cwd: Path | None = None,
    watch: Progress | None = None,
) -> bytes:
    """Standard output of a command that must succeed. Raises ToolError."""
    finished = processes.run(argv, timeout=timeout, stdin=stdin, cwd=cwd, watch=watch)
    if finished.status != 0:
        raise ToolError(
            f"{' '.join(argv)[:200]} ended with status {finished.status}",
            evidence=_tail(finished.errors),
            next_action="read the last lines of the tool's output; build again when the cause is gone",
        )
    return finished.output


async def _listened_to(argv: Sequence[str]) -> asyncio.subprocess.Process:
    null, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
    try:
        return await asyncio.create_subprocess_exec(
            *argv, stdin=null, stdout=pipe, stderr=null, limit=_LINE_LIMIT, start_new_session=True
        )
    except OSError as cause:
        raise ToolError(f"{argv[0]} did not start", evidence=str(cause)) from cause


async def _line(child: asyncio.subprocess.Process) -> bytes:
    return b"" if child.stdout is None else await child.stdout.readline()


def _start(argv: Sequence[str], stdin: IO[bytes], stdout: IO[bytes], cwd: Path | None) -> subprocess.Popen[bytes]:
    # The C locale keeps tool output parseable; sbin is not on every user's PATH but holds mke2fs and sfdisk.
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    environment["PATH"] = os.pathsep.join((environment.get("PATH", os.defpath), *SBIN))
    try:
        return subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=environment,
            start_new_session=True,
        )
    except FileNotFoundError as cause:
        raise ToolError(
            f"{argv[0]} is not on this machine",
            evidence=str(cause),
            next_action="install the packages of images/packages.txt with apt",
        ) from cause
    except OSError as cause:
        raise ToolError(f"{argv[0]} did not start", evidence=str(cause)) from cause


def _follow(child: subprocess.Popen[bytes], watch: Progress | None) -> bytes:
    lines: list[bytes] = []
    with child.stderr or io.BytesIO() as stream:
        for line in stream:
            lines.append(line)
            if watch is not None and line.strip():
                watch(line.decode("utf-8", "replace").strip())
    return b"".join(lines)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _tail(errors: bytes) -> str:
    return errors[-2000:].decode("utf-8", "replace")
