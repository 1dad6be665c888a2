"""All that is left to chance, from one seed. Each purpose has a stream of its own: a draw more in one place does not
shift what the others draw."""

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Stream:
    """Numbers that look random and are the same for the same name and seed."""

    def __init__(self, name: str) -> None:
        digest = hashlib.sha256(name.encode()).digest()
        self._random = random.Random(int.from_bytes(digest, "big"))  # noqa: S311  it has to be repeatable

    def fraction(self) -> float:
        """In [0, 1)."""
        return self._random.random()

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self._random.random()

    def happens(self, chance: float) -> bool:
        return self._random.random() < chance

    def number(self, low: int, high: int) -> int:
        """Both ends included."""
        return self._random.randint(low, high)

    def one_of(self, values: Sequence[T]) -> T:
        return values[self._random.randrange(len(values))]

    def token(self, size: int) -> str:
        """`size` bytes in hex."""
        return f"{self._random.getrandbits(8 * size):0{2 * size}x}"


class Chance:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._streams: dict[str, Stream] = {}

    def stream(self, *name: str) -> Stream:
        key = "/".join((str(self._seed), *name))
        if key not in self._streams:
            self._streams[key] = Stream(key)
        return self._streams[key]
