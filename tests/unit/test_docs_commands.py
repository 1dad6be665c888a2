"""What the documentation tells people to type exists: verbs, options, arguments, configuration keys, variables."""

import ast
import importlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from appliance.config import Settings
from appliance.model.webhook import Webhook
from appliance.setup.answers import Stick
from appliance.site import summary
from appliance.store.records import Record
from appliance.verbs import whole

ROOT = Path(__file__).parents[2]
GUIDES = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/guide/**/*.md")))
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text() for page in GUIDES if page.name != "CHANGELOG.md"}
SHOWN = {
    "README.md": "examples/lab_rack.py",
    "docs/guide/first-rack.md": "examples/first_rack.py",
    "docs/guide/write-a-score.md": "examples/blank_disks.py",
}
RUN = {
    "demo": "appliance/lab/demo.py",
    "image": "images/__main__.py",
    "sim": "appliance/sim/__main__.py",
    "bench": "tests/bench/__main__.py",
    "test": "run",
}

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")
_OURS = re.compile(r"(?:^|[\s/])innervate (?=[a-z-])")
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
_VARIABLE = re.compile(r"INNERVATE_[A-Z_]+")
_STOPS = re.compile(r"\s(?:\||>|&&|2>)(?:\s|$)")


def fences(language: str) -> Iterator[tuple[str, str]]:
    for name, text in TEXTS.items():
        yield from ((name, body) for kind, body in _FENCE.findall(text) if kind == language)


def spans() -> Iterator[tuple[str, str]]:
    for name, text in TEXTS.items():
        yield from ((name, " ".join(span.split())) for span in _SPAN.findall(_FENCE.sub("", text)))


def typed() -> Iterator[tuple[str, str]]:
    """Each line of a shell fence that calls us, without what the shell makes of it."""
    for name, body in fences("sh"):
        for line in body.splitlines():
            if (found := _OURS.search(line)) and not line.lstrip().startswith("#"):
                yield name, _STOPS.split(line[found.end() :])[0]


TYPED = sorted(set(typed()))


Command = TyperCommand | TyperGroup
REFUSED = typer.BadParameter.__bases__[0]
"""What every refusal of a line is: typer does not name it."""


@cache
def root() -> Command:
    return get_command(whole())


def parsed(words: list[str]) -> typer.Context:
    """As the command line parses them. Raises `REFUSED` for what it would refuse."""
    context = root().make_context("innervate", list(words))
    while isinstance(context.command, TyperGroup):
        rest = [*context._protected_args, *context.args]
        name, command, rest = context.command.resolve_command(context, rest)
        assert command is not None
        context = command.make_context(name, rest, parent=context)
    return context


@pytest.mark.parametrize(("page", "line"), TYPED, ids=[f"{page}: {line}" for page, line in TYPED])
def test_every_command_of_a_fence_is_taken(page: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNERVATE_NETBOX", "https://netbox.example")
    words = shlex.split(line, comments=True)
    if words[-1:] == ["--help"]:
        words.pop()
    assert parsed(words).command is not None


def test_there_are_commands_to_check_and_wrong_ones_are_refused() -> None:
    assert len(TYPED) > 100
    for wrong in (["stauts"], ["wipe", "node-0", "--eraze"], ["hold", "node-0"], ["power", "node-0", "up"]):
        with pytest.raises(REFUSED):
            parsed(wrong)


def options_of(command: Command) -> Iterator[str]:
    yield from (option for one in command.params for option in one.opts if option.startswith("--"))
    for inner in getattr(command, "commands", {}).values():
        yield from options_of(inner)


def test_every_option_in_a_sentence_exists() -> None:
    """Those of one of our verbs are its own; those that stand alone belong to something."""
    known = {*options_of(root()), "--help"} | {flag for path in RUN.values() for flag in flags_in(path)}
    alone = [(name, flag) for name, span in spans() if span.startswith("--") for flag in _FLAG.findall(span)]
    assert len(alone) > 20
    assert not [one for one in alone if one[1] not in known]
    for name, span in spans():
        if span.startswith("innervate "):
            assert not foreign_flags(span), f"{name}: {span}"


def foreign_flags(span: str) -> set[str]:
    command, own = root(), set(options_of_alone(root()))
    for word in span.split()[1:]:
        inner = getattr(command, "commands", {}).get(word)
        if inner is not None:
            command, own = inner, own | set(options_of_alone(inner))
    return set(_FLAG.findall(span.partition(" -- ")[0])) - own - {"--help"}


def options_of_alone(command: Command) -> Iterator[str]:
    return (option for one in command.params for option in one.opts if option.startswith("--"))


def flags_in(path: str) -> set[str]:
    return set(_FLAG.findall((ROOT / path).read_text()))


def test_options_of_run_exist() -> None:
    calls = [
        (name, found[1], set(_FLAG.findall(found[2].split(" -- ")[0])))
        for name, text in TEXTS.items()
        for found in re.finditer(r"\./run ([a-z]+)([^`\n#]*)", text)
        if found[1] in RUN
    ]
    assert len(calls) > 20
    assert not [call for call in calls if not call[2] <= flags_in(RUN[call[1]])]


def test_configuration_keys_exist() -> None:
    known = {field.name for field in fields(Settings)}
    rows = re.findall(
        r"^\| (`.*?`) \|", TEXTS["docs/guide/offline.md"].partition("## The configuration")[2], re.MULTILINE
    )
    assert {key for row in rows for key in _SPAN.findall(row)} == known
    for name, body in fences("toml"):
        table = tomllib.loads(body)
        assert set(table) <= known or set(table) <= {field.name for field in fields(Stick)}, name
        assert {key for hook in table.get("webhooks", ()) for key in hook} <= {field.name for field in fields(Webhook)}
    set_in_sentences = {key for _, span in spans() for key in re.findall(r"^([a-z_]+_(?:port|hosts|dir)) = ", span)}
    assert set_in_sentences <= known


def test_variables_exist() -> None:
    sources = "\n".join(p.read_text() for top in ("appliance", "images", "tests") for p in (ROOT / top).rglob("*.py"))
    named = {variable for text in TEXTS.values() for variable in _VARIABLE.findall(text)}
    assert {"INNERVATE_SOCKET", "INNERVATE_DEBIAN_MIRROR"} <= named
    assert not [variable for variable in named if f'"{variable}"' not in sources]


def test_kinds_of_events_exist() -> None:
    known = {kind.__dataclass_fields__["record"].default for kind in Record.__args__}  # type: ignore[attr-defined]
    lines = (line for _, line in TYPED if line.startswith("events") and "--kind" in line)
    words = [kind for line in lines for kind in shlex.split(line)[shlex.split(line).index("--kind") + 1].split(",")]
    assert words
    assert not [word for word in words if not any(re.fullmatch(word.replace("*", ".*"), kind) for kind in known)]


@pytest.mark.parametrize(("page", "example"), SHOWN.items())
def test_pages_show_their_example_whole_and_it_is_good(page: str, example: str) -> None:
    source = (ROOT / example).read_text()
    docstring = ast.parse(source).body[0]
    program = "".join(source.splitlines(keepends=True)[docstring.end_lineno :]).strip()
    assert f"```python\n{program}\n```" in TEXTS[page]
    assert "all needs are met" in summary(ROOT / example)
    told = f"```text\n{summary(ROOT / example)}```"
    assert told in TEXTS[page] or f"innervate check {example}" not in TEXTS[page]


def test_names_that_python_fences_import_exist() -> None:
    imports = [
        (name, node.module, alias.name)
        for name, body in fences("python")
        for node in ast.walk(ast.parse(re.sub(r"^ {3}", "", body, flags=re.MULTILINE)))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ("appliance", "images")
        for alias in node.names
    ]
    assert len(imports) > 20
    assert not [one for one in imports if not hasattr(importlib.import_module(one[1]), one[2])]
