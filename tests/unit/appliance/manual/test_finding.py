"""A search of the documentation: what somebody types who is stuck finds the place that helps."""

import time

import pytest

from appliance.manual.finding import HITS, find, words_of
from appliance.manual.page import page_of
from appliance.manual.reading import own


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("agent-silent", "/docs/errors/agent-silent#error-agent-silent"),
        ("spanning tree", "/docs/stuck#no-dhcp-request"),
        ("foreign data", "/docs/stuck#disk-refused-or-not-written"),
        ("setup code", "/docs/access#the-first-admin"),
        ("INNERVATE_DEBIAN_MIRROR", "/docs/offline#images"),
        ("Filter negates", "/docs/finding#finding-machines"),
    ],
)
def test_what_people_type(typed: str, address: str) -> None:
    hits = find(own().pages.values(), words_of(typed))
    assert address in [hit.address for hit in hits[:5]]
    assert all(
        any(word in f"{hit.page} {hit.section} {hit.excerpt}".lower() for word in words_of(typed)) for hit in hits
    )


def test_all_words_and_none() -> None:
    pages = (page_of("docs/guide/a.md", "# A\n\nred green\n\n## B\n\nred blue\n", ()),)
    assert [hit.section for hit in find(pages, ("red",))] == ["A", "B"]
    assert [hit.section for hit in find(pages, ("blue", "red"))] == ["B"]
    assert find(pages, ("red", "black")) == ()
    assert find(pages, ()) == ()


def test_headings_count_more() -> None:
    pages = (
        page_of("docs/guide/a.md", "# A\n\n## Other\n\ndisk disk disk disk\n", ()),
        page_of("docs/guide/b.md", "# B\n\n## Disk\n\ntext\n", ()),
    )
    assert [hit.address for hit in find(pages, ("disk",))] == ["/docs/b#disk", "/docs/a#other"]


def test_nobody_makes_long_work_of_it() -> None:
    assert words_of("a " * 10_000) == ("a",) * 8
    assert words_of("x" * 10_000) == ("x" * 100,)
    assert words_of(" \t\n") == ()
    pages = tuple(own().pages.values())
    began = time.process_time()
    assert len(find(pages, words_of("a e i o u s t r"))) <= HITS
    assert time.process_time() - began < 0.5
