"""What the builders need from the world; the composition root hands in the real ones."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Progress = Callable[[str], None]
"""Told one line per step, for a person who waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    status: int
    output: bytes
    errors: bytes


class Processes(Protocol):
    """The one door for subprocesses: argv lists, never a shell string."""

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        stdin: bytes = b"",
        cwd: Path | None = None,
        watch: Progress | None = None,
    ) -> Finished:
        """Run to the end, at most `timeout` seconds. `watch` gets each line of standard error as it comes.

        Raises ToolError when the program is missing or overran; a non-zero status is returned, not raised.
        """
        ...


class Listening(Protocol):
    """The same door, for what speaks while it runs."""

    def lines(self, argv: Sequence[str], *, seconds: float) -> AsyncGenerator[bytes, None]:
        """Each line of its standard output as it comes, until it ends. After `seconds`, or when the generator is
        closed, it is killed, with whatever it started.

        Raises ToolError when the program is missing, or a line has more than 64 KiB.
        """
        ...
