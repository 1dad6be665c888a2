"""The documentation where it lies: beside this file in an installed appliance, else in the repository."""

from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path

from appliance.errors import MachineryError, NotFoundError
from appliance.manual.code import CodePage, code_page
from appliance.manual.page import GUIDES, ROOT, Page, address_of, page_of

SHIPPED = (
    "docs/guide/*.md",
    "docs/guide/errors/*.md",
    "docs/phases.md",
    "docs/screens/*.png",
    "docs/monitoring/*",
    "examples/*.py",
    "tests/golden/pxe.toml",
)
"""What the pages show and lead to. `pyproject.toml` puts the same into the wheel."""

_INSTALLED = Path(__file__).with_name("shelf")
_REPOSITORY = Path(__file__).parents[2]
_CODES = f"{GUIDES}errors/"


class Manual:
    """Pages are read once. Raises `NotFoundError` for what it has not, `MachineryError` for what cannot be read."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @cached_property
    def paths(self) -> frozenset[str]:
        found = (path for pattern in SHIPPED for path in self._root.glob(pattern))
        return frozenset(path.relative_to(self._root).as_posix() for path in found)

    @cached_property
    def pages(self) -> Mapping[str, Page]:
        """By address."""
        written = sorted(path for path in self.paths if path.endswith(".md"))
        return {address_of(path): page_of(path, self._text(path), self.paths) for path in written}

    @cached_property
    def codes(self) -> tuple[str, ...]:
        return tuple(sorted(self._codes()))

    def page(self, address: str) -> Page:
        if (page := self.pages.get(address)) is None:
            raise NotFoundError(f"the documentation has no page {address[:100]}", next_action="begin at /docs")
        return page

    def code(self, code: str) -> CodePage:
        if code not in self.codes:
            known = ", ".join(self.codes)
            raise NotFoundError(f"there is no error code {code[:63]}", evidence=known, next_action="name one of these")
        return code_page(code, self._text(f"{_CODES}{code}.md"))

    @property
    def titles(self) -> tuple[tuple[str, str], ...]:
        """Name and title of each page but those of single codes."""
        names = ((address.removeprefix(f"{ROOT}/"), page.title) for address, page in self.pages.items())
        return tuple((name, title) for name, title in names if "/" not in name)

    def text(self, name: str) -> str:
        """A page as it is written. `name` as in `titles`, or `errors/CODE`."""
        return self._text(self.page(f"{ROOT}/{name}").path)

    def file(self, path: str) -> Path:
        """What is no page: a picture, an example."""
        if path not in self.paths or path.endswith(".md"):
            raise NotFoundError(f"the documentation has no file {path[:100]}", next_action="begin at /docs")
        return self._root / path

    def _codes(self) -> Iterator[str]:
        return (path.removeprefix(_CODES).removesuffix(".md") for path in self.paths if path.startswith(_CODES))

    def _text(self, path: str) -> str:
        try:
            return (self._root / path).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise MachineryError(
                "the documentation cannot be read", evidence=str(error)[:300], next_action="install the appliance again"
            ) from error


@cache
def own() -> Manual:
    """The documentation of this very version."""
    return Manual(_INSTALLED if _INSTALLED.is_dir() else _REPOSITORY)
