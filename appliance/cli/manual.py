"""The verbs that show the documentation which is installed here: they need no daemon and no network."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.context import Json, print_json

if TYPE_CHECKING:
    from appliance.manual.code import CodePage


def add_to(app: typer.Typer) -> None:
    for verb in (error, docs):
        app.command()(verb)


def error(
    code: Annotated[str, typer.Argument(metavar="[CODE]", help="Such as agent-silent; all codes without one.")] = "",
    as_json: Json = False,
) -> None:
    """Say what an error code means and what to do; needs no daemon.

    Example: innervate error agent-silent
    """
    from appliance.manual.reading import own

    manual = own()
    if code:
        page = manual.code(code)
        print_json(page) if as_json else print("\n".join(_lines(page)))
        return
    pages = tuple(map(manual.code, manual.codes))
    print_json(pages) if as_json else print("\n".join(f"{page.code:<20} {page.means}" for page in pages))


def docs(
    page: Annotated[str, typer.Argument(metavar="[PAGE]", help="Such as stuck; all pages without one.")] = "",
) -> None:
    """Print a page of the documentation; needs no daemon.

    Example: innervate docs stuck | less
    """
    from appliance.manual.reading import own

    if page:
        print(own().text(page), end="")
    else:
        print("\n".join(f"{name:<20} {title}" for name, title in own().titles))


def _lines(page: "CodePage") -> Iterator[str]:
    yield from (f"{page.code}: {page.means}", "", page.shown)
    parts = (("why", page.why), ("what is seen", page.evidence), ("what to do", page.action), ("example", page.example))
    for title, text in parts:
        yield from ("", f"{title}:", *(f"  {line}".rstrip() for line in text.splitlines()))
    yield from ("", *(f"read on: innervate docs {name}" for name in page.more))
