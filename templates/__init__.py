"""Renders the text artefacts that machines read: boot scripts, installer answers, unit files.

No HTML, so no escaping: whoever renders checks the values against the grammar of the artefact first.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment


def render(name: str, values: Mapping[str, str | int | Sequence[str]]) -> str:
    """`name` is relative to this directory. A value that is missing raises jinja2.UndefinedError."""
    return _environment().get_template(name).render(values)


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
