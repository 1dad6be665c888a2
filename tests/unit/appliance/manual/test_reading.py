"""The documentation where it lies, and what is said where it does not."""

from pathlib import Path

import pytest

from appliance.errors import MachineryError, NotFoundError
from appliance.manual.code import code_page
from appliance.manual.reading import Manual, own

CODE = """# Error plan

It [cannot](../x.md) be made.

Shown as: exit status 2.

## Why

W

## What the evidence says

E

## What to do

D

## Example

```text
error: x
  next: y
```
"""


def test_a_page_of_a_code_is_taken_apart() -> None:
    page = code_page("plan", CODE)
    assert (page.means, page.shown, page.why) == ("It cannot be made.", "Shown as: exit status 2.", "W")
    assert (page.evidence, page.action, page.example) == ("E", "D", "error: x\n  next: y")


@pytest.mark.parametrize("lost", ["## Why\n", "It [cannot](../x.md) be made.\n\n", "\nE\n", "## Example\n"])
def test_a_damaged_page_of_a_code_is_an_error(lost: str) -> None:
    with pytest.raises(MachineryError, match="damaged"):
        code_page("plan", CODE.replace(lost, "", 1))


@pytest.mark.parametrize("path", ["docs/guide/stuck.md", "../etc/passwd", "/etc/passwd", "docs/phases.md", "run", ""])
def test_only_files_that_are_shipped_are_handed_out(path: str) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        own().file(path)


def test_pictures_and_examples_are_handed_out() -> None:
    assert own().file("docs/screens/2-rack.png").read_bytes().startswith(b"\x89PNG")
    assert own().file("examples/first_rack.py").is_file()


def test_what_is_not_there_and_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no page"):
        own().page("/docs/../machines")
    with pytest.raises(NotFoundError, match="there is no error code nonsense") as caught:
        own().code("nonsense")
    assert "agent-silent" in caught.value.evidence
    guide = tmp_path / "docs/guide"
    guide.mkdir(parents=True)
    (guide / "a.md").write_bytes(b"\xff\xfe")
    with pytest.raises(MachineryError, match="cannot be read"):
        Manual(tmp_path).page("/docs/a")
    assert not Manual(tmp_path / "nowhere").pages
