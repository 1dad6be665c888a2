"""A text that prints masked; only `reveal` gives it away, so that a reviewer can search for it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Secret:
    _text: str = field(repr=False)

    def reveal(self) -> str:
        return self._text

    def __str__(self) -> str:
        return "***"

    def __repr__(self) -> str:
        return "Secret(***)"
