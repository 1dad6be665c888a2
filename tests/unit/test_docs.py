"""The documentation says what the code does: links, paths, commands, codes, the site program, the phases."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from appliance.errors import InnervateError
from appliance.main import main
from appliance.model.filter import Field
from appliance.model.phase import CONDITIONS, PHASES
from appliance.model.standing import STANDINGS
from appliance.model.step import STEPS

ROOT = Path(__file__).parents[2]
PAGES = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
TEXTS = {page: page.read_text() for page in PAGES}
CODES = (ROOT / "docs/guide/errors.md").read_text()
EXAMPLE = ROOT / "examples/lab_rack.py"

_FENCE = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PATH = re.compile(r"`((?:appliance|docs|examples|images|pxe|templates|tests)/[\w./*-]+)`")
_RUN = re.compile(r"\./run ([a-z]+)(?: +([a-z]+))?")
_VERB = re.compile(r"(?:^|[\s/])innervate(?: +--socket +\S+)? +([a-z][a-z-]*)", re.MULTILINE)


def code_of(text: str) -> Iterator[str]:
    yield from _FENCE.findall(text)
    yield from _SPAN.findall(_FENCE.sub("", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in _LINK.findall(TEXTS[page]) if "://" not in link and not link.startswith("#")]
    assert not [link for link in links if not (page.parent / link.partition("#")[0]).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_exist(page: Path) -> None:
    assert not [path for path in _PATH.findall(TEXTS[page]) if not any(ROOT.glob(path.rstrip("/")))]


def test_run_verbs_exist() -> None:
    script = (ROOT / "run").read_text()
    dispatch = script.rpartition("case $verb in")[2]
    verbs = set(re.findall(r"^    ([a-z]+)\) ", dispatch, re.MULTILINE))
    tiers = set((re.search(r"^ +((?:[a-z]+ \| )+[a-z]+)\) tiers\+=", script, re.MULTILINE) or [""])[1].split(" | "))
    assert {"demo", "test", "image", "innervate"} <= verbs
    assert {"lint", "rack"} <= tiers
    named = {use for text in TEXTS.values() for code in code_of(text) for use in _RUN.findall(code)}
    assert {verb for verb, _ in named} <= verbs
    assert {tier for verb, tier in named if verb == "test" and tier} <= tiers


def test_command_line_verbs_exist(capsys: pytest.CaptureFixture[str]) -> None:
    named = {verb for text in TEXTS.values() for code in code_of(text) for verb in _VERB.findall(code)}
    assert {"plan", "apply", "status", "events", "power", "ssh", "hold", "release", "check", "daemon"} <= named
    assert not [verb for verb in sorted(named) if main([verb, "--help"]) != 0], capsys.readouterr().err


def test_readme_shows_the_example() -> None:
    source = EXAMPLE.read_text()
    docstring = ast.parse(source).body[0]
    program = "".join(source.splitlines(keepends=True)[docstring.end_lineno :]).strip()
    assert f"```python\n{program}\n```" in (ROOT / "README.md").read_text()


def error_codes() -> Iterator[str]:
    kinds = [InnervateError]
    while kinds:
        kind = kinds.pop()
        yield kind.code
        kinds += kind.__subclasses__()


@cache
def problem_codes() -> frozenset[str]:
    return frozenset(
        code
        for path in (ROOT / "appliance").rglob("*.py")
        for call in calls(path, "Problem")
        for keyword in call.keywords
        if keyword.arg == "code"
        for code in fixed_parts(keyword.value)
    )


def agent_messages() -> Iterator[str]:
    """Of a message with values in it, the longest fixed part."""
    for path in (ROOT / "images/agent").glob("*.py"):
        for call in (*calls(path, "TaskError"), *calls(path, "DiskError")):
            for arg in call.args[:1]:
                yield from fixed_parts(arg)


def calls(path: Path, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


def fixed_parts(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=values):
            yield max((part for value in values for part in fixed_parts(value)), key=len).strip(" :")
        case ast.IfExp(body=body, orelse=other):
            yield from fixed_parts(body)
            yield from fixed_parts(other)
        case _:
            return


def test_every_code_is_explained() -> None:
    codes = {*error_codes(), *problem_codes()}
    assert {"bmc", "no-daemon", "refused", "budget", "agent-silent", "first-boot-silent"} <= codes
    assert set(re.findall(r"^\| `([a-z-]+)` \|", CODES, re.MULTILINE)) == codes


def test_every_refusal_of_the_agent_is_explained() -> None:
    messages = set(agent_messages())
    assert "the disk holds foreign data" in messages
    assert sorted(message for message in messages if message not in CODES) == []


def phases_page() -> str:
    """To accept a change: delete docs/phases.md, run this test once, read the difference."""
    rows = [
        f"| {phase.value} | {rule.entry} | {rule.evidence} | {rule.budget or '-'} |" for phase, rule in PHASES.items()
    ]
    exits = [
        f"    {phase.value} --> {after.value}"
        for phase, rule in PHASES.items()
        for after in PHASES
        if after in rule.exits
    ]
    return "\n".join(
        (
            "# Phases of a machine",
            "",
            "Drawn from `PHASES` in `appliance/model/phase.py`. To accept a change: delete this file, run",
            "`tests/unit/test_docs.py` once, read the difference.",
            "",
            "| phase | entered when | evidence that ends it | budget in seconds |",
            "|---|---|---|---|",
            *rows,
            "",
            "```mermaid",
            "stateDiagram-v2",
            "    [*] --> unknown",
            *exits,
            "```",
            "",
            "What stops a step that hangs is the step's own budget (`Step` in `appliance/plan.py`).",
            "",
            "## Conditions",
            "",
            "A condition stands beside the phase.",
            "",
            "| condition | what it means |",
            "|---|---|",
            *(f"| {kind.value} | {meaning} |" for kind, meaning in CONDITIONS.items()),
            "",
            "## Steps",
            "",
            "Drawn from `STEPS` in `appliance/model/step.py`.",
            "",
            "| step | kind | before it | evidence that it is done | takes |",
            "|---|---|---|---|---|",
            *(f"| {n} | {r.kind.value} | {r.before} | {r.evidence} | {r.costs.value} |" for n, r in STEPS.items()),
            "",
        )
    )


def test_phases_are_drawn_from_the_table() -> None:
    page = ROOT / "docs/phases.md"
    if not page.exists():
        page.write_text(phases_page())
        pytest.fail(f"{page} was missing; it is written now")
    assert page.read_text() == phases_page()


def test_fields_and_states_are_explained() -> None:
    page = TEXTS[ROOT / "docs/guide/finding.md"]
    fields, states = page.split("## States")
    assert {name for row in re.findall(r"^\| (`.*?`) \|", fields, re.MULTILINE) for name in _SPAN.findall(row)} == {
        field.value for field in Field
    }
    rows = re.findall(r"^\| `([a-z]+)` \| (.*) \|$", states, re.MULTILINE)
    assert rows == [(word.value, meaning) for word, meaning in STANDINGS.items()]
