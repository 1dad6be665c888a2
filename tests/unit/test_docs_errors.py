"""Each error code has a page, none is stale, and whoever is stuck finds the way to it."""

import ast
import re
from pathlib import Path

import pytest

from appliance.api.problems import STATUSES
from appliance.cli.exits import EXITS, Exit
from appliance.errors import InnervateError, StepError
from appliance.frontend.timeline import stages
from appliance.manual import help as manual_help
from appliance.manual.help import of_code, of_condition, of_segment, of_stage
from appliance.manual.page import address_of, page_of
from appliance.manual.reading import own
from appliance.model.phase import Condition, ConditionKind
from appliance.model.standing import Standing
from appliance.model.words import STAGES
from tests.unit.test_docs import error_codes, problem_codes

ROOT = Path(__file__).parents[2]
PAGES = {path.stem: path.read_text() for path in sorted((ROOT / "docs/guide/errors").glob("*.md"))}
TREE = set(error_codes())
CODES = sorted({*TREE, *problem_codes()})
NEVER_ALONE = {"error", "step"}
"""No part of the product raises these but by a kind of them."""

STUCK = (ROOT / "docs/guide/stuck.md").read_text()


def step_codes() -> set[str]:
    kinds: list[type[InnervateError]] = [StepError]
    found = set(problem_codes())
    while kinds:
        kind = kinds.pop()
        found.add(kind.code)
        kinds += kind.__subclasses__()
    return found


def shown(code: str) -> str:
    """Where people and programs meet it."""
    parts = [f"exit status {EXITS.get(code, Exit.FAILURE).value}"] if code in TREE else []
    parts += [f"HTTP status {STATUSES[code]}"] if code in STATUSES else []
    parts += ["condition `failed` of a machine"] if code in step_codes() else []
    return f"Shown as: {', '.join(parts)}."


def test_each_code_has_a_page_and_no_page_is_stale() -> None:
    assert sorted(PAGES) == CODES, "write docs/guide/errors/CODE.md for each code, in the form of the others"
    assert own().codes == tuple(CODES)


@pytest.mark.parametrize("code", CODES)
def test_page(code: str) -> None:
    page = own().code(code)
    assert PAGES[code].startswith(f"# Error {code}\n")
    assert page.shown == shown(code)
    assert "next:" in page.example
    assert page.example.startswith(("error: ", "failed: "))


def sentences() -> set[str]:
    """The fixed parts of everything that is said in the product's sources."""
    return {
        node.value.strip(" :")
        for top in ("appliance", "images")
        for path in (ROOT / top).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value
    }


SAID = {text for text in sentences() if len(text) >= 6}


def share_said(text: str) -> float:
    """How much of the words stands in the sources; what has digits, dots or slashes are values."""
    words = {
        at
        for word in re.finditer(r"\S+", text)
        if not re.search(r"[\d./]\w|\w\d", word[0])
        for at in range(*word.span())
    }
    covered = {at for said in SAID if (found := text.find(said)) >= 0 for at in range(found, found + len(said))}
    return len(words & covered) / len(words)


@pytest.mark.parametrize("code", sorted(set(CODES) - NEVER_ALONE))
def test_the_example_says_what_the_product_says(code: str) -> None:
    lines = own().code(code).example.splitlines()
    cause, action = lines[0].partition(": ")[2], next(line for line in lines if line.startswith("  next: "))
    assert share_said(cause) >= 0.5, cause
    assert share_said(action.removeprefix("  next: ")) >= 0.5, action


def test_whoever_is_stuck_finds_every_code_and_every_word() -> None:
    assert [code for code in CODES if f"(errors/{code}.md)" not in STUCK] == []
    assert "(errors.md#what-the-agent-reports)" in STUCK
    named = set(re.findall(r"`([a-z]+)`", STUCK))
    assert {kind.value for kind in ConditionKind} <= named
    assert {word.value for word in Standing} <= named


def test_whoever_is_stuck_finds_what_the_timeline_calls_by_name() -> None:
    """Troubles that are noted under a name of their own, of a machine or of the boot network."""
    sources = "".join(path.read_text() for path in (ROOT / "appliance/services").glob("*.py"))
    named = set(re.findall(r'(?:Noted\([^)]*|_noted\([^)]*|Told\()kind="([a-z-]+)"', sources))
    named |= set(re.findall(r'_noted\([^,]+, "([a-z-]+)"', sources))
    assert {"facts-refused", "pool", "flood", "address-in-use"} <= named
    server = "#another-dhcp-server"
    apart = {"rival-server": server, "dhcp-standing": server, "pool": "#no-address-is-free"}
    assert [name for name in named if (apart.get(name) or name) not in STUCK] == []


def test_pages_lead_to_places_that_are_there() -> None:
    """Those that screens link to, by code, condition, stage and trouble of the boot network."""
    conditions = (Condition(kind=kind, since=0.0, reason="") for kind in ConditionKind)
    led = [*map(of_code, (*CODES, "")), *map(of_condition, conditions), *map(of_stage, STAGES)]
    led += [of_segment(kind) for kind in ("dhcp-standing", "rival-server", "pool", "of another version")]
    led += [of_condition(Condition(kind=ConditionKind.FAILED, since=0.0, reason="", code="bmc"))]
    for address in led:
        page, _, anchor = address.partition("#")
        assert anchor in {"", *own().page(page).anchors}, address
    assert set(manual_help._CONDITIONS) == set(ConditionKind)
    assert set(manual_help._STAGES) == set(STAGES)
    assert stages.__module__ == "appliance.frontend.timeline"


@pytest.mark.parametrize("code", ["", "\x00", "a b", "../machines", "A", "-", "plan\n", "x\u202e"])
def test_what_is_no_code_leads_to_all_of_them(code: str) -> None:
    assert of_code(code) == "/docs/errors"


def test_every_kind_of_segment_trouble_that_lasts_has_a_place() -> None:
    source = (ROOT / "appliance/services/segment_state.py").read_text()
    kinds = set(re.findall(r'(?:kind|_[A-Z]+) ?= ?"([a-z-]+)"', source))
    passing = {"address-in-use", "flood"}
    assert kinds - passing == set(manual_help._SEGMENT)


def test_places_that_templates_link_to_exist() -> None:
    linked = {
        address
        for path in (ROOT / "templates/web").glob("*.j2")
        for address in re.findall(r'href="(/docs[^"{]*)"', path.read_text())
    }
    assert {"/docs", "/docs/finding", "/docs/access#the-first-admin"} <= linked
    for address in linked:
        page, _, anchor = address.partition("#")
        assert anchor in {"", *own().page(page).anchors}, address


def test_table_of_codes_leads_to_the_pages() -> None:
    html = own().page("/docs/errors").html
    assert [code for code in CODES if f'<a href="{of_code(code)}"><code>{code}</code></a>' not in html] == []


def test_every_page_is_on_the_index() -> None:
    html = own().page("/docs").html
    guides = [address for address in own().pages if not address.startswith("/docs/errors/") and address != "/docs"]
    assert [address for address in guides if f'href="{address}' not in html] == []


def test_pictures_are_those_that_the_test_on_real_firmware_takes() -> None:
    taken = re.findall(r'take\(\w+, "([a-z-]+)"\)', (ROOT / "tests/rack/test_pages.py").read_text())
    kept = sorted(path.name for path in (ROOT / "docs/screens").iterdir())
    assert kept == [f"{number}-{name}.png" for number, name in enumerate(taken, 1)]
    html = "".join(page.html for page in own().pages.values())
    assert [name for name in kept if f"/docs/files/docs/screens/{name}" not in html] == []


def test_anchors_and_links_of_all_pages_of_the_repository() -> None:
    """Also those that the appliance does not have."""
    paths = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
    names = {path.relative_to(ROOT).as_posix(): path for path in paths}
    pages = {name: page_of(name, path.read_text(), ()) for name, path in names.items()}
    dead = []
    for name, path in names.items():
        for link in re.findall(r"\]\(\s*([^)\s]+)\)", path.read_text()):
            file, _, anchor = link.partition("#")
            if "://" in link or not anchor:
                continue
            target = (path.parent / file).resolve().relative_to(ROOT).as_posix() if file else name
            if target in pages and anchor not in pages[target].anchors:
                dead.append((name, link))
    assert not dead


def test_guides_lead_only_to_what_is_shipped() -> None:
    """But for decisions, which are for those who read the source."""
    html = "".join(page.html for page in own().pages.values())
    assert 'href=""' not in html
    assert 'src=""' not in html
    dropped = {
        (path, link)
        for path in own().paths
        if path.endswith(".md")
        for link in re.findall(r"\]\(\s*([^)\s]+)\)", (ROOT / path).read_text())
        if "://" not in link and not link.startswith("#") and "decisions/" not in link
        if address_of(_target(path, link)) not in html and _target(path, link) not in own().paths
    }
    assert not dropped


def _target(path: str, link: str) -> str:
    return (ROOT / path).parent.joinpath(link.partition("#")[0]).resolve().relative_to(ROOT).as_posix()
