"""A TOML table, taken apart key by key; every error names its key."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TypeVar

from pxe.errors import ConfigError, PacketError

T = TypeVar("T")
E = TypeVar("E", bound=Enum)


class Table:
    """A TOML table that is taken apart key by key; `finish` finds what nobody asked for."""

    def __init__(self, values: Mapping[str, object], path: str) -> None:
        self._values = values
        self._path = path
        self._asked: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def names(self) -> tuple[str, ...]:
        return tuple(self._values)

    def error(self, key: str, message: str, evidence: str, next_action: str) -> ConfigError:
        return ConfigError(f"{self._where(key)}: {message}", evidence=evidence[:200], next_action=next_action)

    def text(self, key: str, default: str | None = None) -> str:
        return self._typed(key, str, default)

    def number(self, key: str, default: int) -> int:
        return self._typed(key, int, default)

    def decimal(self, key: str, default: float) -> float:
        if isinstance(self._values.get(key), int):
            return self.number(key, 0)
        return self._typed(key, float, float(default))

    def flag(self, key: str, default: bool) -> bool:
        return self._typed(key, bool, default)

    def texts(self, key: str) -> tuple[str, ...]:
        found = self._items(key)
        if not all(isinstance(item, str) for item in found):
            raise self.error(key, "not a list of texts", repr(found), "put each into quotes")
        return tuple(map(str, found))

    def take(self, key: str, parse: Callable[[str], T]) -> T:
        return self._parsed(key, self.text(key), parse)

    def choice(self, key: str, kind: type[E]) -> E:
        """One of the values of a closed set."""
        text = self.text(key)
        try:
            return kind(text)
        except ValueError as cause:
            known = ", ".join(str(each.value) for each in kind)
            raise self.error(key, "no such choice", text, f"use one of {known}") from cause

    def each(self, key: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        """`take` of a list."""
        return tuple(self._parsed(key, text, parse) for text in self.texts(key))

    def table(self, key: str) -> "Table":
        """An absent one is empty."""
        self._asked.add(key)
        return self._table(self._values.get(key, {}), key)

    def tables(self, key: str) -> list["Table"]:
        return [self._table(item, f"{key}[{number}]") for number, item in enumerate(self._items(key))]

    def named(self, key: str) -> dict[str, "Table"]:
        group = self.table(key)
        return {name: group.table(name) for name in group.names()}

    def build(self, make: Callable[[], T]) -> T:
        """The values' own errors know no key: they get the name of this table."""
        try:
            return make()
        except ConfigError as error:
            where = f"{self._path}: " if self._path else ""
            raise ConfigError(f"{where}{error}", evidence=error.evidence, next_action=error.next_action) from error

    def finish(self) -> None:
        for key in self._values:
            if key not in self._asked:
                known = ", ".join(sorted(self._asked))
                raise self.error(key, "unknown key", f"known here: {known}", "correct or remove it")

    def _parsed(self, key: str, text: str, parse: Callable[[str], T]) -> T:
        try:
            return parse(text)
        except (ValueError, PacketError) as cause:
            raise self.error(key, str(cause), text, "correct the value") from cause

    def _where(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def _table(self, value: object, key: str) -> "Table":
        if not isinstance(value, dict):
            raise self.error(key, "not a table", repr(value), f"write it as [{self._where(key)}]")
        return Table(value, self._where(key))

    def _items(self, key: str) -> list[object]:
        self._asked.add(key)
        found = self._values.get(key, [])
        if not isinstance(found, list):
            raise self.error(key, "not a list", repr(found), "put it into brackets")
        return found

    def _typed(self, key: str, kind: type[T], default: T | None) -> T:
        self._asked.add(key)
        found = self._values.get(key, default)
        if found is None:
            raise self.error(key, "missing", "", f"add {key} = ...")
        if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
            raise self.error(key, f"not of type {kind.__name__}", repr(found), "see tests/golden/pxe.toml")
        return found
