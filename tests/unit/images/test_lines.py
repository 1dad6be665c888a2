"""What a process says while it runs: lines as they come, and nothing left when nobody listens any more."""

import asyncio
import os
import select
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

from images.errors import ToolError
from images.processes import HostProcesses


def python(program: str) -> tuple[str, ...]:
    return (sys.executable, "-u", "-c", program)


async def heard(argv: tuple[str, ...], *, seconds: float = 30, most: int = 100) -> list[bytes]:
    found: list[bytes] = []
    async with aclosing(HostProcesses().lines(argv, seconds=seconds)) as lines:
        async for line in lines:
            found.append(line)
            if len(found) == most:
                break
    return found


def test_lines_until_it_ends() -> None:
    assert asyncio.run(heard(python("print('one'); print('two', end='')"))) == [b"one", b"two"]


def test_it_is_killed_with_what_it_started_when_nobody_listens(tmp_path: Path) -> None:
    program = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(os.getpid(), child.pid)\n"
        "time.sleep(600)"
    )
    (line,) = asyncio.run(heard(python(program), most=1))
    first, second = map(int, line.split())
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    ended = os.pidfd_open(second) if Path(f"/proc/{second}").exists() else -1
    assert ended == -1 or select.select([ended], [], [], 10.0)[0]


def test_its_time_is_bounded() -> None:
    assert asyncio.run(heard(python("import time; print('on'); time.sleep(600)"), seconds=1.5)) == [b"on"]


def test_a_line_without_end_is_an_error() -> None:
    with pytest.raises(ToolError) as caught:
        asyncio.run(heard(python("print('x' * 200_000)")))
    assert "too long" in str(caught.value)


def test_a_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ToolError) as caught:
        asyncio.run(heard(("/nowhere/at/all",)))
    assert "did not start" in str(caught.value)


def test_it_reads_nothing_and_its_complaints_are_not_heard() -> None:
    program = "import sys; print(repr(sys.stdin.read())); print('no', file=sys.stderr)"
    assert asyncio.run(heard(python(program))) == [b"''"]
