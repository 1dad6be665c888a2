"""A page of the documentation: from its Markdown to HTML and to what a search looks through. Pure.

Paths are those of the repository, with `/`; addresses are those under which the appliance shows the same file. HTML in
the text is shown as text, and a link to what is not shipped is no link.
"""

import re
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from posixpath import dirname, join, normpath

from markdown_it import MarkdownIt
from markdown_it.token import Token

GUIDES = "docs/guide/"
CODES = f"{GUIDES}errors.md"
ROOT = "/docs"
_INDEX = f"{GUIDES}index.md"
_PHASES = "docs/phases.md"

_PARSER = MarkdownIt("commonmark", {"html": False}).enable("table")
_FOREIGN = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What stands under one heading; `anchor` is "" before the first."""

    anchor: str
    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    path: str
    title: str
    html: str
    sections: tuple[Section, ...]

    @property
    def address(self) -> str:
        return address_of(self.path)

    @property
    def anchors(self) -> frozenset[str]:
        return frozenset(section.anchor for section in self.sections)


def page_of(path: str, text: str, shipped: Container[str]) -> Page:
    """`shipped` are the paths that the appliance has."""
    tokens = _PARSER.parse(text)
    _name_headings(tokens)
    for token in _every(tokens):
        if token.type == "th_open":
            token.attrSet("scope", "col")
        elif token.type == "image":
            token.attrSet("src", _led(str(token.attrGet("src")), path, shipped) or "")
    for token in tokens:
        token.children = _linked(token.children or [], path, shipped)
    sections = tuple(_sections(tokens))
    html = _PARSER.renderer.render(tokens, _PARSER.options, {})
    return Page(
        path=path, title=next((one.title for one in sections if one.anchor), path), html=html, sections=sections
    )


def address_of(path: str) -> str:
    """Of a guide its name alone; what is no page keeps its path."""
    if path == _INDEX:
        return ROOT
    if path == _PHASES:
        return f"{ROOT}/phases"
    if path.startswith(GUIDES) and path.endswith(".md"):
        return f"{ROOT}/{path.removeprefix(GUIDES).removesuffix('.md')}"
    return f"{ROOT}/files/{path}"


def slug(title: str) -> str:
    """The anchor that the repository's own viewer gives to a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _every(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _every(token.children or ())


def _name_headings(tokens: Sequence[Token]) -> None:
    seen = Counter[str]()
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            name = slug(_text(inline))
            opening.attrSet("id", f"{name}-{seen[name]}" if seen[name] else name)
            seen[name] += 1


def _text(token: Token) -> str:
    if token.type == "inline" or token.children:
        return "".join(map(_text, token.children or ()))
    return " " if token.type == "softbreak" else token.content


def _linked(tokens: Sequence[Token], path: str, shipped: Container[str]) -> list[Token]:
    """Links lead to the appliance's own pages; in the table of all codes each code leads to its page."""
    done, led = list[Token](), list[bool]()
    for token in tokens:
        if token.type == "link_open":
            target = _led(str(token.attrGet("href")), path, shipped)
            led.append(target is not None)
            token.attrSet("href", target or "")
        known = path == CODES and f"{GUIDES}errors/{token.content}.md"
        if token.type == "code_inline" and known and known in shipped:
            done += (_opening(address_of(known)), token, Token("link_close", "a", -1))
        elif token.type not in ("link_open", "link_close") or led[-1]:
            done.append(token)
        if token.type == "link_close":
            led.pop()
    return done


def _opening(address: str) -> Token:
    return Token("link_open", "a", 1, attrs={"href": address})


def _led(target: str, path: str, shipped: Container[str]) -> str | None:
    """None for what the appliance has not."""
    if _FOREIGN.match(target) or target.startswith("#"):
        return target
    name, mark, anchor = target.partition("#")
    file = normpath(join(dirname(path), name))
    return f"{address_of(file)}{mark}{anchor}" if file in shipped else None


def _sections(tokens: Sequence[Token]) -> Iterator[Section]:
    anchor, title, texts = "", "", list[str]()
    for before, token in pairwise((Token("", "", 0), *tokens)):
        if before.type == "heading_open":
            yield Section(anchor=anchor, title=title, text="\n".join(texts))
            anchor, title, texts = str(before.attrGet("id")), _text(token), []
        elif token.type in ("inline", "fence", "code_block"):
            texts.append(_text(token))
    yield Section(anchor=anchor, title=title, text="\n".join(texts))
