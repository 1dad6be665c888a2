"""YAML documents as Kubernetes reads them, with the line that each begins at, and written in one form. Pure.

What YAML 1.1 and 1.2 take for different things is what Kubernetes' own reader makes of it (sigs.k8s.io/yaml): `0644` is
octal, `yes` is true, a date and `80:22` are texts. On `y`, `1e3` and `0x1f` readers disagree: they have to be written
otherwise. What is written here every reader takes for the same.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import TypeAlias

import yaml

from images.errors import PackageError

Value: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value] | None"
_TAG = "tag:yaml.org,2002:"
_COLLECTIONS = {f"{_TAG}map", f"{_TAG}seq"}
_TRUE = {"true", "yes", "on"}
_INTEGER, _OCTAL = re.compile(r"[-+]?(0|[1-9][0-9]*)"), re.compile(r"0[0-7]+")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?")
_DISPUTED = re.compile(r"y|n|0o[0-7]+|[-+]?[0-9]*\.?[0-9]+e[-+]?[0-9]+", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/._-]*(:[A-Za-z0-9/._-]+)*")
_WORDS = _TRUE | {"false", "no", "off", "y", "n", "null", "nan", "inf"}
_TEXT_LIMIT, _NODE_LIMIT = 16 << 20, 300_000
_DIGITS = 40
_WIDTH = 1 << 30  # lines that are folded are hard to search


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """`where` is FILE:LINE."""

    value: Mapping[str, Value]
    where: str


def read(text: str, file: str) -> tuple[Document, ...]:
    """Empty documents are left out. Raises `PackageError` that names file and line."""
    if len(text) > _TEXT_LIMIT:
        raise refused(file, "too long", f"{len(text)} characters", "split it")
    return tuple(_Reader(file).documents(text))


def write(values: Iterable[Mapping[str, Value]]) -> bytes:
    nodes = [_node(dict(value)) for value in values]
    written = yaml.serialize_all(
        nodes, Dumper=yaml.SafeDumper, explicit_start=True, allow_unicode=True, width=_WIDTH, encoding="utf-8"
    )
    return bytes(written)


def refused(where: str, what: str, evidence: str, next_action: str) -> PackageError:
    return PackageError(f"{where}: {what}", evidence=evidence[:200], next_action=next_action)


class _Reader:
    def __init__(self, file: str) -> None:
        self._file, self._left = file, _NODE_LIMIT

    def documents(self, text: str) -> Iterator[Document]:
        try:
            for node in yaml.compose_all(text, Loader=yaml.CSafeLoader):
                found = self._value(node)
                if isinstance(found, dict):
                    yield Document(value=found, where=self._where(node))
                elif found is not None:
                    raise self._refused(node, "a document is no mapping", "write apiVersion, kind and metadata")
        except (yaml.YAMLError, RecursionError, UnicodeError) as error:
            raise refused(self._file, "not YAML", " ".join(str(error).split()), "correct the line") from error

    def _value(self, node: yaml.Node) -> Value:
        self._left -= 1  # aliases are followed each time: a few lines of them can mean more than fits any memory
        if self._left < 0:
            raise self._refused(node, "more values than can be meant", "write it without aliases")
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _COLLECTIONS:
            raise self._refused(node, f"the tag {node.tag[:60]!r} has no meaning here", "write it without")
        if isinstance(node, yaml.MappingNode):
            return dict(self._pairs(node))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        return [self._value(one) for one in node.value]

    def _pairs(self, node: yaml.MappingNode) -> Iterator[tuple[str, Value]]:
        seen = set[str]()
        for key, value in node.value:
            name = self._value(key) if isinstance(key, yaml.ScalarNode) else None
            if key.tag == f"{_TAG}merge" or not isinstance(name, str):
                raise self._refused(key, "a key is no text", "quote it; write merged keys out")
            if name in seen:
                raise self._refused(key, f"the key {name[:100]!r} stands twice", "keep one of them")
            seen.add(name)
            yield name, self._value(value)

    def _scalar(self, node: yaml.ScalarNode) -> Value:
        text, kind = str(node.value), str(node.tag).removeprefix(_TAG)
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() in _TRUE
        if kind in {"str", "timestamp", "merge", "value"}:
            if not node.style and _DISPUTED.fullmatch(text):
                raise self._refused(node, f"{text[:60]} is a text to some readers only", "quote it")
            return text
        if kind in {"int", "float"}:
            return self._number(node, text)
        raise self._refused(node, f"the tag {kind[:60]!r} has no meaning here", "write it without")

    def _number(self, node: yaml.ScalarNode, text: str) -> Value:
        if len(text) > _DIGITS:
            raise self._refused(node, f"{text[:60]} is a number that nobody can hold", "quote it")
        if _INTEGER.fullmatch(text):
            return int(text)
        if _OCTAL.fullmatch(text):
            return int(text, 8)
        if _FLOAT.fullmatch(text) and isfinite(number := float(text)):
            return number
        if ":" in text:
            return text
        raise self._refused(node, f"{text[:60]} is a number to some readers only", "write it in decimal, or quote it")

    def _refused(self, node: yaml.Node, what: str, next_action: str) -> PackageError:
        return refused(self._where(node), what, "", next_action)

    def _where(self, node: yaml.Node) -> str:
        return f"{self._file}:{node.start_mark.line + 1}"


def _node(value: Value) -> yaml.Node:
    if isinstance(value, dict):
        pairs = [(_text(key), _node(inner)) for key, inner in sorted(value.items())]
        return yaml.MappingNode(f"{_TAG}map", pairs, flow_style=not pairs)
    if isinstance(value, list):
        return yaml.SequenceNode(f"{_TAG}seq", [_node(one) for one in value], flow_style=not value)
    if isinstance(value, str):
        return _text(value)
    if value is None:
        return yaml.ScalarNode(f"{_TAG}null", "null")
    if isinstance(value, bool):
        return yaml.ScalarNode(f"{_TAG}bool", "true" if value else "false")
    if isinstance(value, int):
        return yaml.ScalarNode(f"{_TAG}int", str(value))
    return yaml.ScalarNode(f"{_TAG}float", _float(value))


def _text(text: str) -> yaml.ScalarNode:
    """As a block where it has lines, else in quotes, unless nobody could take it for anything but a text."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return yaml.ScalarNode(f"{_TAG}str", text)
    return yaml.ScalarNode(f"{_TAG}str", text, style="|" if "\n" in text else '"')


def _float(value: float) -> str:
    """With a point, without which YAML 1.1 sees no float (10.2.4, float)."""
    text = repr(value)
    mantissa, exponent, power = text.partition("e")
    return text if "." in mantissa or not exponent else f"{mantissa}.0e{power}"
