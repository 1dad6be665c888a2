"""The door for programs that run as long as the daemon does."""

from collections.abc import Callable, Sequence
from typing import Protocol


class Child(Protocol):
    @property
    def pid(self) -> int: ...

    def signal(self, number: int) -> None:
        """Of a program that has ended already nothing comes."""
        ...

    async def wait(self) -> int:
        """Its exit status; of one that a signal ended, minus the signal's number."""
        ...


class Children(Protocol):
    async def start(self, argv: Sequence[str], said: Callable[[str], None]) -> Child:
        """`said` gets each line of its standard output and error. It dies with us, and has no privileges of ours.

        Raises `MachineryError` when it cannot be started.
        """
        ...
