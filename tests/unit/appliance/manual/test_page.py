"""Pages of Markdown as HTML: what leads where, what is named how, and that nothing in the text is HTML."""

import pytest

from appliance.manual.page import CODES, address_of, page_of, slug

SHIPPED = {
    "docs/guide/a.md",
    "docs/guide/index.md",
    "docs/phases.md",
    "docs/screens/1.png",
    "docs/guide/errors.md",
    "docs/guide/errors/plan.md",
}


def drawn(text: str, path: str = "docs/guide/a.md") -> str:
    return page_of(path, text, SHIPPED).html.strip()


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("docs/guide/index.md", "/docs"),
        ("docs/guide/stuck.md", "/docs/stuck"),
        ("docs/guide/errors.md", "/docs/errors"),
        ("docs/guide/errors/no-daemon.md", "/docs/errors/no-daemon"),
        ("docs/phases.md", "/docs/phases"),
        ("docs/screens/1.png", "/docs/files/docs/screens/1.png"),
        ("examples/x.py", "/docs/files/examples/x.py"),
    ],
)
def test_addresses(path: str, address: str) -> None:
    assert address_of(path) == address


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("[x](../phases.md#steps)", '<p><a href="/docs/phases#steps">x</a></p>'),
        ("[x](#here)", '<p><a href="#here">x</a></p>'),
        ("[x](https://example.org/y)", '<p><a href="https://example.org/y">x</a></p>'),
        ("[`x` y](../decisions/1.md) z", "<p><code>x</code> y z</p>"),
        ("[a](gone.md) [b](index.md)", '<p>a <a href="/docs">b</a></p>'),
        ("![p](../screens/1.png)", '<p><img src="/docs/files/docs/screens/1.png" alt="p" /></p>'),
        ("![p](../../../etc/passwd)", '<p><img src="" alt="p" /></p>'),
        ("[x](../../../../etc/passwd)", "<p>x</p>"),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
        ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"),
        ('a <img src="x" onerror="y">', "<p>a &lt;img src=&quot;x&quot; onerror=&quot;y&quot;&gt;</p>"),
        ("`plan`", "<p><code>plan</code></p>"),
    ],
)
def test_text(text: str, html: str) -> None:
    assert drawn(text) == html


def test_the_table_of_codes_leads_to_their_pages() -> None:
    html = drawn("| code |\n|---|\n| `plan` |\n| `other` |", CODES)
    assert '<td><a href="/docs/errors/plan"><code>plan</code></a></td>' in html
    assert "<td><code>other</code></td>" in html
    assert '<th scope="col">code</th>' in html


@pytest.mark.parametrize(
    ("title", "anchor"),
    [
        ("What is on the segment before you start", "what-is-on-the-segment-before-you-start"),
        ("One machine: install anew, wipe", "one-machine-install-anew-wipe"),
        ("After kill -9", "after-kill--9"),
        ("The first admin", "the-first-admin"),
    ],
)
def test_anchors_are_those_of_the_repository(title: str, anchor: str) -> None:
    assert slug(title) == anchor


def test_sections_and_twice_the_same_heading() -> None:
    page = page_of(
        "docs/guide/a.md", "# T `c`\n\nhead\n\n## Look\n\none\ntwo\n\n```sh\nthree\n```\n\n## Look\n", SHIPPED
    )
    assert [(one.anchor, one.title, one.text) for one in page.sections] == [
        ("", "", ""),
        ("t-c", "T c", "head"),
        ("look", "Look", "one two\nthree\n"),
        ("look-1", "Look", ""),
    ]
    assert (page.title, page.address) == ("T c", "/docs/a")
    assert '<h2 id="look-1">Look</h2>' in page.html
