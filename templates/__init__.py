"""Renders the text artefacts that machines read: boot scripts, installer answers, unit files.

No HTML, so no escaping: whoever renders checks the values against the grammar of the artefact first.

A template prints its values and loops over lists; whatever depends on a value is decided by the caller. So Jinja2 is
asked once per shape (the names of the values, the lengths of the lists), and each machine's values fill the blanks.
"""

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

_Value = str | int | Sequence[str]

_SINGLE = -1
# Around the number of a blank: they cannot be in a template, which is text.
_OPEN, _CLOSE = "\x01", "\x02"


def render(name: str, values: Mapping[str, _Value]) -> str:
    """`name` is relative to this directory. A value that is missing raises jinja2.UndefinedError."""
    words: list[str | int] = []
    lengths: list[int] = []
    for value in values.values():
        if isinstance(value, (str, int)):
            lengths.append(_SINGLE)
            words.append(value)
        else:
            lengths.append(len(value))
            words += value
    return _form(name, tuple(values), tuple(lengths)).format(*words)


@lru_cache(maxsize=128)
def _form(name: str, names: tuple[str, ...], lengths: tuple[int, ...]) -> str:
    """The text with a format field for each blank: the number of its value, lists laid flat."""
    blanks: dict[str, _Value] = {}
    count = 0
    for key, length in zip(names, lengths, strict=True):
        own = [f"{_OPEN}{count + index}{_CLOSE}" for index in range(abs(length))]
        blanks[key] = own[0] if length == _SINGLE else own
        count += len(own)
    text = _environment().get_template(name).render(blanks)
    return text.replace("{", "{{").replace("}", "}}").replace(_OPEN, "{").replace(_CLOSE, "}")


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
