"""A TOML table, taken apart key by key; every error names the file and the key. Pure."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from images.errors import PackageError

T = TypeVar("T")


class Table:
    """`finish` finds what nobody asked for."""

    def __init__(self, values: Mapping[str, object], file: str, path: str = "") -> None:
        self._values, self._file, self._path = values, file, path
        self._asked: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def error(self, key: str, message: str, evidence: str, next_action: str) -> PackageError:
        where = ": ".join(part for part in (self._file, self._where(key)) if part)
        return PackageError(f"{where}: {message}", evidence=evidence[:200], next_action=next_action)

    def text(self, key: str, default: str | None = None) -> str:
        return self._typed(key, str, default)

    def number(self, key: str, default: int | None = None) -> int:
        return self._typed(key, int, default)

    def texts(self, key: str) -> tuple[str, ...]:
        """An absent list is empty."""
        return self._typed_items(key, str, "texts")

    def one_or_more(self, key: str) -> tuple[str, ...]:
        """A text, or a list of them."""
        return (self.text(key),) if isinstance(self._values.get(key), str) else self.texts(key)

    def numbers(self, key: str) -> tuple[int, ...]:
        return self._typed_items(key, int, "numbers")

    def words(self, key: str) -> Mapping[str, str]:
        """A table of texts."""
        table = self.table(key)
        return {name: table.text(name) for name in table._values}

    def table(self, key: str) -> "Table":
        """An absent one is empty."""
        self._asked.add(key)
        value = self._values.get(key, {})
        if not isinstance(value, dict):
            raise self.error(key, "not a table", repr(value), f"write it as [{self._where(key)}]")
        return Table(value, self._file, self._where(key))

    def named(self, key: str) -> Mapping[str, "Table"]:
        group = self.table(key)
        return {name: group.table(name) for name in group._values}

    def one_of(self, keys: Iterable[str]) -> str:
        """Which of them is there: one has to be, and one only."""
        known = tuple(keys)
        found = [key for key in known if key in self]
        if len(found) != 1:
            seen = f"there are: {', '.join(found) or 'none'}"
            raise self.error("", f"one of {', '.join(known)} is wanted", seen, f"say {_or(known)}")
        return found[0]

    def finish(self) -> None:
        for key in self._values:
            if key not in self._asked:
                known = ", ".join(sorted(self._asked))
                raise self.error(key, "unknown key", f"known here: {known}", "correct or remove it")

    def _where(self, key: str) -> str:
        return ".".join(part for part in (self._path, key) if part)

    def _typed(self, key: str, kind: type[T], default: T | None) -> T:
        self._asked.add(key)
        found = self._values.get(key, default)
        if found is None:
            raise self.error(key, "missing", "", f"add {key} = ...")
        if not isinstance(found, kind) or isinstance(found, bool):
            raise self.error(key, f"not of type {kind.__name__}", repr(found), "correct the value")
        return found

    def _typed_items(self, key: str, kind: type[T], what: str) -> tuple[T, ...]:
        self._asked.add(key)
        found = self._values.get(key, [])
        items = found if isinstance(found, list) else [None]
        kept = tuple(item for item in items if isinstance(item, kind) and not isinstance(item, bool))
        if len(kept) != len(items):
            raise self.error(key, f"not a list of {what}", repr(found), "correct the value")
        return kept


def _or(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
