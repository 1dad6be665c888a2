"""The help of a verb without parsing the line, which would load what checks values: longer work than all the rest."""

from collections.abc import Sequence
from functools import cache

import typer
from typer.core import TyperGroup
from typer.main import get_command

_ASKS = frozenset({"-h", "--help"})
command_of = cache(get_command)
"""What parses the line, drawn up from all verbs: once."""


def help_of(app: typer.Typer, words: Sequence[str]) -> str | None:
    """None unless the line is verbs and then -h or --help: whatever else it says is the parser's to judge."""
    if not words or words[-1] not in _ASKS:
        return None
    command = command_of(app)
    context = typer.Context(command, info_name="innervate", **command.context_settings)
    for word in words[:-1]:
        inner = command.get_command(context, word) if isinstance(command, TyperGroup) else None
        if inner is None:
            return None
        command, context = inner, typer.Context(inner, info_name=word, parent=context)
    return command.get_help(context)
