"""Looks for words in the documentation. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from appliance.manual.page import Page, Section

HITS = 30
_WORDS = 8
_LONGEST = 100
_AROUND = 90
_IN_TITLE, _IN_HEADING, _IN_TEXT = 9, 5, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    address: str
    page: str
    section: str
    excerpt: str


def words_of(text: str) -> tuple[str, ...]:
    """Anybody may ask, so it is short work whatever they ask."""
    return tuple(text[:_LONGEST].lower().split()[:_WORDS])


def find(pages: Iterable[Page], words: tuple[str, ...]) -> tuple[Hit, ...]:
    """The sections that have all words, best first; none where there are no words."""
    if not words:
        return ()
    found = [scored for page in pages for scored in _in_page(page, words)]
    found.sort(key=lambda one: (-one[0], one[1].address))
    return tuple(hit for _, hit in found[:HITS])


def _in_page(page: Page, words: tuple[str, ...]) -> Iterator[tuple[int, Hit]]:
    for section in page.sections:
        scores = [_score(page, section, word) for word in words]
        if all(scores) and (section.text or section.title):
            address = page.address + (f"#{section.anchor}" if section.anchor else "")
            excerpt = _excerpt(section.text, words)
            yield sum(scores), Hit(address=address, page=page.title, section=section.title, excerpt=excerpt)


def _score(page: Page, section: Section, word: str) -> int:
    """A word of the page's title alone brings only its first section: the others have to say it themselves."""
    heading, text = section.title.lower(), section.text.lower()
    score = _IN_HEADING * (word in heading) + _IN_TEXT * min(text.count(word), 3)
    return score + _IN_TITLE * (word in page.title.lower()) if score else 0


def _excerpt(text: str, words: tuple[str, ...]) -> str:
    line = " ".join(text.split())
    at = min((found for word in words if (found := line.lower().find(word)) >= 0), default=0)
    start = max(0, at - _AROUND)
    return ("... " if start else "") + line[start : at + _AROUND] + (" ..." if at + _AROUND < len(line) else "")
