"""What the builders need from the world; the composition root hands in the real ones."""

from collections.abc import Callable, Sequence
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
