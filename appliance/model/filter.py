"""One language to name machines, for the API, the command line and pages.

    state:failed role:worker mac:b8:ce* bmc:10.1.* serial:"SN 1" -phase:active,available

All words must hold. `field:value` compares the whole value, a bare word looks inside name, serial, address and product.
`*` stands for any text, `,` for "or", a leading `-` for "not"; inside of double quotes all of these mean themselves,
and a backslash protects a quote and a backslash. `field:""` is a field without a value. Case never matters; in MACs and
UUIDs separators do not matter either. Matching is linear in the text: there are no regular expressions.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from appliance.errors import UsageError
from appliance.model.phase import ConditionKind, Phase
from appliance.model.standing import Standing, standing
from appliance.model.text import clean
from appliance.model.views import MachineView

FILTER_LIMIT = 2000
"""Characters."""
_SPECIAL = frozenset('"*,\\')
_SEPARATORS = str.maketrans("", "", ":-.")


class Field(Enum):
    NAME = "name"
    STATE = "state"
    PHASE = "phase"
    CONDITION = "condition"
    ROLE = "role"
    SPARE = "spare"
    SERIAL = "serial"
    UUID = "uuid"
    ADDRESS = "address"
    MAC = "mac"
    BMC = "bmc"
    PRODUCT = "product"
    RACK = "rack"
    RUN = "run"
    CLUSTER = "cluster"


_BARE = (Field.NAME, Field.SERIAL, Field.ADDRESS, Field.PRODUCT)
_CLOSED: dict[Field, type[Enum]] = {Field.STATE: Standing, Field.PHASE: Phase, Field.CONDITION: ConditionKind}
"""Fields with few values: a word that is none of them is a slip of the hand, not a machine that is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """The texts between the stars, at least one."""

    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One of `patterns`, at least one, has to fit. A `field` of None is a bare word."""

    field: Field | None
    patterns: tuple[Pattern, ...]
    negated: bool = False

    def fits(self, machine: MachineView) -> bool:
        return self.negated != any(self._fits(pattern, machine) for pattern in self.patterns)

    @property
    def name(self) -> str | None:
        """The word, where it is a plain one: it may be a machine's whole name."""
        plain = self.field is None and not self.negated and len(self.patterns) == len(self.patterns[0].pieces) == 1
        return self.patterns[0].pieces[0] if plain else None

    def _fits(self, pattern: Pattern, machine: MachineView) -> bool:
        if self.field is not None:
            pieces = [_folded(piece, self.field) for piece in pattern.pieces]
            return any(_whole(pieces, _folded(value, self.field)) for value in values_of(self.field, machine))
        pieces = [piece.casefold() for piece in pattern.pieces]
        fits = _whole if len(pieces) > 1 else _inside
        return any(fits(pieces, text.casefold()) for field in _BARE for text in values_of(field, machine))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Prints as it is written; `parse` reads it back. Without terms every machine fits."""

    terms: tuple[Term, ...] = ()

    def fits(self, machine: MachineView) -> bool:
        return all(term.fits(machine) for term in self.terms)

    def __str__(self) -> str:
        return " ".join(map(_printed, self.terms))


def parse(text: str) -> Filter:
    """Raises `UsageError` and nothing else, whatever `text` is."""
    if len(text) > FILTER_LIMIT:
        raise UsageError(f"the filter has more than {FILTER_LIMIT} characters", next_action="ask for less at once")
    return Filter(terms=tuple(map(_term, _words(text))))


def joined(words: Sequence[str]) -> Filter:
    """Of words that a shell has already split; one that came with blanks may hold several terms."""
    return parse(" ".join(words))


def chosen(text: str, known: Sequence[str], what: str) -> frozenset[str]:
    """Of a closed set, by patterns such as `step-*,run-started`. `UsageError` for a pattern that none fits."""
    found: set[str] = set()
    for word in _words(text):
        for pattern in _patterns(None, word, word):
            pieces = [piece.casefold() for piece in pattern.pieces]
            fitting = {name for name in known if _whole(pieces, name)}
            if not fitting:
                shown = _pattern(pattern, bare=True)
                raise UsageError(
                    f"there is no {what} {clean(shown, 40)!r}",
                    evidence=f"known: {', '.join(known)}",
                    next_action=_suggestion(shown, known),
                )
            found |= fitting
    return frozenset(found)


_Word = Sequence[tuple[str, bool]]
"""Characters, and whether each was quoted."""


def _words(text: str) -> Iterator[_Word]:
    word: list[tuple[str, bool]] = []
    quoted = False
    characters = iter(text)
    for character in characters:
        if character == '"':
            quoted = not quoted
            word.append(("", True))
        elif quoted:
            word.extend(_escaped(character, characters))
        elif character.isspace():
            yield from _ended(word)
            word = []
        else:
            word.append((character, False))
    if quoted:
        raise UsageError(
            "a quote in the filter is not closed", evidence=clean(text, 200), next_action='end the text with "'
        )
    yield from _ended(word)


def _escaped(character: str, following: Iterator[str]) -> Iterator[tuple[str, bool]]:
    """Before anything but a quote and a backslash, a backslash is itself."""
    if character != "\\":
        yield character, True
        return
    after = next(following, "")
    yield (after if after in ('"', "\\") else f"\\{after}"), True


def _ended(word: _Word) -> Iterator[_Word]:
    if word:
        yield word


def _term(word: _Word) -> Term:
    negated = word[0] == ("-", False)
    rest = word[1:] if negated else word
    field, values = _split(rest)
    return Term(field=field, patterns=tuple(_patterns(field, values, word)), negated=negated)


def _split(word: _Word) -> tuple[Field | None, _Word]:
    """The field ends at the first colon; a quote before it makes the whole a bare word."""
    for at, (character, quoted) in enumerate(word):
        if quoted:
            return None, word
        if character == ":":
            return _field(_text(word[:at])), word[at + 1 :]
    return None, word


def _field(name: str) -> Field:
    try:
        return Field(name.casefold())
    except ValueError:
        known = [field.value for field in Field]
        raise UsageError(
            f"machines have no field {clean(name, 40)!r}",
            evidence=f"fields: {', '.join(known)}",
            next_action=f"{_suggestion(name, known)}; to look for the text itself, put it in double quotes",
        ) from None


def _patterns(field: Field | None, values: _Word, word: _Word) -> Iterator[Pattern]:
    for value in _parted(values, ","):
        if not value:
            raise UsageError(
                f"a value is missing in {clean(_text(word), 80)!r}",
                next_action='write "" for none, and "," inside of quotes for a comma',
            )
        pattern = Pattern(pieces=tuple(_text(piece) for piece in _parted(value, "*")))
        _check(field, pattern)
        yield pattern


def _parted(word: _Word, mark: str) -> Iterator[_Word]:
    start = 0
    for at, character in enumerate(word):
        if character == (mark, False):
            yield word[start:at]
            start = at + 1
    yield word[start:]


def _check(field: Field | None, pattern: Pattern) -> None:
    if field not in _CLOSED or len(pattern.pieces) != 1:
        return
    known = [str(member.value) for member in _CLOSED[field]]
    value = pattern.pieces[0]
    if value.casefold() not in known and not (field is Field.CONDITION and not value):
        raise UsageError(
            f"{field.value} is never {clean(value, 40)!r}",
            evidence=f"it is one of: {', '.join(known)}",
            next_action=_suggestion(value, known),
        )


def _suggestion(text: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(text[:40].casefold(), known, n=1)
    return f"did you mean {close[0]}?" if close else "name one of these"


def _text(word: _Word) -> str:
    return "".join(character for character, _ in word)


def values_of(field: Field, machine: MachineView) -> Iterable[str]:
    """Never empty: a field without a value is one empty text."""
    match field:
        case Field.NAME:
            return (machine.name,)
        case Field.STATE:
            return (standing(machine).value,)
        case Field.PHASE:
            return (machine.phase.value,)
        case Field.CONDITION:
            return [condition.kind.value for condition in machine.conditions] or ("",)
        case Field.ROLE:
            return (machine.role,)
        case Field.SPARE:
            return (machine.spare_of,)
        case Field.SERIAL:
            return (machine.serial,)
        case Field.UUID:
            return (machine.uuid,)
        case Field.ADDRESS:
            return (machine.address,)
        case Field.MAC:
            return machine.macs or ("",)
        case Field.BMC:
            return (machine.bmc,)
        case Field.PRODUCT:
            return (machine.product,)
        case Field.RACK:
            return (machine.place.rack,) if machine.place is not None else ()
        case Field.RUN:
            return (machine.run,)
        case Field.CLUSTER:
            return (machine.member.cluster if machine.member is not None else "",)
        case _:
            assert_never(field)


def _folded(text: str, field: Field) -> str:
    folded = text.casefold()
    return folded.translate(_SEPARATORS) if field in (Field.MAC, Field.UUID) else folded


def _inside(pieces: Sequence[str], text: str) -> bool:
    return pieces[0] in text if pieces[0] else not text


def _whole(pieces: Sequence[str], text: str) -> bool:
    """Each piece is looked for once, behind the one before it: the first place that fits leaves most for the rest."""
    first, *between = pieces
    if not between:
        return first == text
    last = between.pop()
    if not text.startswith(first):
        return False
    at = len(first)
    for piece in between:
        found = text.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return len(text) - len(last) >= at and text.endswith(last)


def _printed(term: Term) -> str:
    head = "-" if term.negated else ""
    head += "" if term.field is None else f"{term.field.value}:"
    return head + ",".join(_pattern(pattern, bare=term.field is None) for pattern in term.patterns)


def _pattern(pattern: Pattern, *, bare: bool) -> str:
    if pattern.pieces == ("",):
        return '""'
    return "*".join(_piece(piece, bare=bare) for piece in pattern.pieces)


def _piece(piece: str, *, bare: bool) -> str:
    plain = not any(character in _SPECIAL or character.isspace() for character in piece)
    if plain and not (bare and (":" in piece or piece.startswith("-"))):
        return piece
    return '"' + piece.replace("\\", "\\\\").replace('"', '\\"') + '"'
