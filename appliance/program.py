"""A site program as text: what in it looks like a secret is masked, and two of them are held against each other. Pure.

Masked are texts in `Secret(...)`, texts given to what is called like a secret (`password=`, `"token": ...`), the texts
of the names that are given there, and passwords in URLs; then the same texts wherever else they stand. In a program
that cannot be parsed every text is masked that is not known from one that could be.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import unified_diff

from appliance.model.site_views import SiteChangeView
from appliance.plan import Plan, Step

_NAMES = re.compile(r"passw|passphrase|secret|token|credential|private|api_?key|community|psk", re.IGNORECASE)
_IN_URL = re.compile(r"(://[^\s/:@\"']*:)[^\s/@\"']+(?=@)")
_TEXT = re.compile(
    r'"""(?:\\.|[^\\])*?(?:"""|\Z)'
    r"|'''(?:\\.|[^\\])*?(?:'''|\Z)"
    r'|"(?:\\.|[^"\\\n])*(?:"|$)'
    r"|'(?:\\.|[^'\\\n])*(?:'|$)",
    re.MULTILINE | re.DOTALL,
)
_MASK = "***"
_SHORT = 4
"""Characters: a shorter text is masked where it was found, and not wherever else it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """`secrets` are the texts that were masked, `known` those that may be shown."""

    masked: str
    secrets: frozenset[str]
    known: frozenset[str]


def read(text: str, like: Program | None = None) -> Program:
    """`like` is a version that runs: its secrets are secrets here, too."""
    more = like.secrets if like is not None else frozenset()
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _unread(text, more, like.known if like is not None else frozenset())
    hidden = tuple(_hidden(tree))
    secrets = more | {found for node in hidden if (found := _said(node))}
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    shown = without(_cut(text, hidden), secrets)
    return Program(masked=shown, secrets=frozenset(secrets), known=frozenset(texts - secrets))


def without(text: str, secrets: frozenset[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORT:
            text = text.replace(secret, _MASK)
    return _IN_URL.sub(rf"\1{_MASK}", text)


def diff(running: Program, disk: Program, name: str) -> str:
    """Unified, of what may be seen."""
    before, after = (one.masked.splitlines() for one in (running, disk))
    return "\n".join(unified_diff(before, after, f"{name} (runs)", f"{name} (on disk)", lineterm=""))


def changes(running: Plan, disk: Plan) -> tuple[SiteChangeView, ...]:
    """Step by step, by machine; first what would not be done any more."""
    before, after = ({str(step.id): step for step in plan.steps} for plan in (running, disk))
    return tuple(sorted(_changes(before, after), key=lambda change: (change.machine, change.change != "removed")))


def _changes(before: Mapping[str, Step], after: Mapping[str, Step]) -> Iterator[SiteChangeView]:
    for id_, step in before.items():
        if id_ not in after:
            yield _change("removed", step)
    for id_, step in after.items():
        if id_ not in before:
            yield _change("added", step)
        elif step != before[id_]:
            yield _change("changed", step, before[id_].summary)


def _change(what: str, step: Step, before: str = "") -> SiteChangeView:
    return SiteChangeView(change=what, machine=step.machine, kind=step.kind.value, summary=step.summary, before=before)


def _hidden(tree: ast.AST) -> Iterator[ast.expr]:
    """Texts in secret places, and those of the names that are used there, whatever they were made of."""
    places = list(_places(tree))
    named, seen = set[str](), set[str]()
    while places:
        for place in places:
            for node in ast.walk(place):
                if _is_text(node):
                    yield node  # type: ignore[misc]  # texts are expressions
                if isinstance(node, ast.Name):
                    named.add(node.id)
        fresh = named - seen
        seen |= fresh
        places = [value for name, value in _bound(tree) if name in fresh]


def _places(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if _NAMES.search(name):
                yield from (*node.args, *(keyword.value for keyword in node.keywords))
            case ast.keyword(arg=str(name), value=value) if _NAMES.search(name):
                yield value
            case ast.Dict():
                yield from (v for k, v in zip(node.keys, node.values, strict=True) if k and _NAMES.search(_said(k)))
            case ast.arguments():
                yield from _defaults(node)
            case _:
                pass
    yield from (value for name, value in _bound(tree) if _NAMES.search(name))


def _defaults(node: ast.arguments) -> Iterator[ast.expr]:
    positional = (*node.posonlyargs, *node.args)
    pairs = (
        *zip(reversed(positional), reversed(node.defaults), strict=False),
        *zip(node.kwonlyargs, node.kw_defaults, strict=True),
    )
    yield from (value for name, value in pairs if value is not None and _NAMES.search(name.arg))


def _bound(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Names, also those of attributes and items, and what they are made of."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets, value=value):
                yield from ((name, value) for target in targets for name in _names(target))
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.AugAssign(target=target, value=value):
                yield from ((name, value) for name in _names(target))
            case ast.NamedExpr(target=target, value=value):
                yield target.id, value
            case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value):
                yield from ((name, value) for name in _names(target))
            case _:
                pass


def _names(target: ast.expr) -> Iterator[str]:
    for node in ast.walk(target):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Constant(value=str(name)):
                yield name
            case _:
                pass


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


def _said(node: ast.AST) -> str:
    """What a text says; "" where that is only known at run time."""
    value = node.value if isinstance(node, ast.Constant) else ""
    return value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else ""


def _cut(text: str, nodes: tuple[ast.expr, ...]) -> str:
    """Each node's place holds a mask, and as many lines as before. `col_offset` counts bytes of UTF-8."""
    data = text.encode()
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    spans = sorted((starts[node.lineno - 1] + node.col_offset, _end(node, starts)) for node in nodes)
    for begin, end in reversed(_outermost(spans)):
        data = data[:begin] + f'"{_MASK}"'.encode() + b"\n" * data[begin:end].count(b"\n") + data[end:]
    return data.decode("utf-8", "replace")


def _outermost(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of those in order of their beginning: an f-string has texts inside."""
    found = list[tuple[int, int]]()
    for begin, end in spans:
        if not found or begin >= found[-1][1]:
            found.append((begin, end))
        else:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
    return found


def _end(node: ast.expr, starts: list[int]) -> int:
    return starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or node.col_offset)


def _unread(text: str, secrets: frozenset[str], known: frozenset[str]) -> Program:
    def hidden(match: re.Match[str]) -> str:
        said = match[0].strip("\"'")
        return match[0] if said in known else f'"{_MASK}"' + "\n" * match[0].count("\n")

    return Program(masked=without(_TEXT.sub(hidden, text), secrets), secrets=secrets, known=known)
