"""The page of one error code, taken apart: for terminals, and for programs. Pure."""

import re
from dataclasses import dataclass

from appliance.errors import MachineryError

_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_PAGE = re.compile(r"\]\(\.\./([\w-]+)\.md[#)]")
_PARTS = re.compile(r"^## (.+)$", re.MULTILINE)
HEADINGS = ("Why", "What the evidence says", "What to do", "Example")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodePage:
    """`shown` says where the code is met: exit status, HTTP status, or a machine's condition; `more` are names of pages
    that go on from there."""

    code: str
    means: str
    shown: str
    why: str
    evidence: str
    action: str
    example: str
    more: tuple[str, ...] = ()


def code_page(code: str, text: str) -> CodePage:
    """Raises `MachineryError` for a page that lacks one of its parts."""
    head, *rest = _PARTS.split(_LINK.sub(r"\1", text))
    paragraphs = [part.strip() for part in head.strip().split("\n\n")]
    parts = {name: body.strip() for name, body in zip(rest[::2], rest[1::2], strict=True)}
    if tuple(parts) != HEADINGS or len(paragraphs) != 3 or not all((*parts.values(), *paragraphs)):
        raise MachineryError(f"the page of the error {code} is damaged", next_action="install the appliance again")
    why, evidence, action, example = parts.values()
    example = example.removeprefix("```text\n").removesuffix("```").rstrip()
    return CodePage(
        code=code,
        means=paragraphs[1],
        shown=paragraphs[2],
        why=why,
        evidence=evidence,
        action=action,
        example=example,
        more=tuple(dict.fromkeys(_PAGE.findall(text))),
    )
