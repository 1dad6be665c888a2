"""YAML as Kubernetes reads it, and written so that nobody reads it otherwise."""

import pytest
import yaml

from images.application import documents
from images.application.documents import Value, read, write
from images.errors import PackageError

READ: dict[str, Value] = {
    "text": "text",
    "'010'": "010",
    "12": 12,
    "-7": -7,
    "0": 0,
    "0644": 420,
    "1.5": 1.5,
    ".5": 0.5,
    "yes": True,
    "Off": False,
    "~": None,
    "null": None,
    "2024-01-02": "2024-01-02",
    "80:22": "80:22",
    "'y'": "y",
    "[1, [a]]": [1, ["a"]],
    "{a: {b: c}}": {"a": {"b": "c"}},
    "''": "",
}


@pytest.mark.parametrize("text", READ)
def test_scalars_are_what_kubernetes_takes_them_for(text: str) -> None:
    (document,) = read(f"a: {text}\n", "x.yaml")
    assert document.value == {"a": READ[text]}


REFUSED = {
    "a key twice": ("a: 1\nb: 2\na: 3\n", "x.yaml:3: the key 'a' stands twice"),
    "a key that is a number": ("a:\n  1: 2\n", "x.yaml:2: a key is no text"),
    "a truth value to some": ("a: y\n", "x.yaml:1: y is a text to some readers only"),
    "octal to some": ("a: 0o17\n", "x.yaml:1: 0o17 is a text to some readers only"),
    "a float to some": ("a: 1e3\n", "x.yaml:1: 1e3 is a text to some readers only"),
    "hexadecimal": ("a: 0x1f\n", "x.yaml:1: 0x1f is a number to some readers only"),
    "a float with a power": ("a: 1.5e3\n", "x.yaml:1: 1.5e3 is a text to some readers only"),
    "a number without an end": (f"a: {'9' * 5000}\n", "is a number that nobody can hold"),
    "an octal one": (f"a: 0{'7' * 5000}\n", "is a number that nobody can hold"),
    "infinity": ("a: .inf\n", "x.yaml:1: .inf is a number to some readers only"),
    "an infinity that looks like a number": ("a: 1.0e+999\n", "x.yaml:1: 1.0e+999 is a number to some readers only"),
    "lists in lists": (f"a: {'[' * 100_000}", "x.yaml: not YAML"),
    "half a character": ('a: "\\ud800"\n', "x.yaml: not YAML"),
    "no character": ("a: \udcff\n", "x.yaml: not YAML"),
    "underscores": ("a: 1_000\n", "x.yaml:1: 1_000 is a number to some readers only"),
    "octal that is none": ("a: 0b11\n", "x.yaml:1: 0b11 is a number to some readers only"),
    "merged keys": ("a: &a {b: 1}\nc:\n  <<: *a\n", "x.yaml:3: a key is no text"),
    "a tag": ("a: !!python/object:os.system {}\n", "x.yaml:1: the tag"),
    "binary": ("a: !!binary aGk=\n", "x.yaml:1: the tag"),
    "a list": ("- a\n", "x.yaml:1: a document is no mapping"),
    "no YAML": ("a: [\n", "x.yaml: not YAML"),
    "a template": ("a: {{ .Values.a }}\n", "x.yaml"),
    "a bomb": ("a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{name}: &{name} [{','.join([f'*{below}'] * 10)}]\n" for below, name in zip("abcdef", "bcdefg", strict=True)
    ), "more values than can be meant"),
    "a mapping of itself": ("a: &a\n  b: *a\n", "x.yaml"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_readers_disagree_on_is_refused_with_its_line(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "_NODE_LIMIT", 3000)
    text, message = REFUSED[case]
    with pytest.raises(PackageError) as caught:
        read(text, "x.yaml")
    assert message in str(caught.value)
    assert caught.value.next_action


def test_documents_know_their_lines_and_empty_ones_are_left_out() -> None:
    found = read("# nothing\n---\n---\na: 1\n---\n\nb: 2\n---\n", "x.yaml")
    assert [(document.value, document.where) for document in found] == [
        ({"a": 1}, "x.yaml:4"),
        ({"b": 2}, "x.yaml:7"),
    ]


STRANGE = (
    *(
        "y",
        "N",
        "yes",
        "null",
        "~",
        "",
        " ",
        "010",
        "0o17",
        "0x1f",
        "1e3",
        "1_0",
        "80:22",
        "2024-01-02",
        "a: b",
        "a #b",
    ),
    *(
        "- a",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a",
        "{a",
        "a\nb\n",
        "a\nb",
        "\n",
        " a\n b",
        "a\tb",
        "ä€😀",
        "\x85",
        "\x7f",
    ),
    *("a" * 300, "http://x/y", "trailing ", "'", '"', "\\", "a\r\nb", "apps/web:1.0.0", "<<", "=", ".inf", "é"),
)


@pytest.mark.parametrize("text", STRANGE, ids=ascii)
def test_what_is_written_is_read_back_by_everybody(text: str) -> None:
    value: dict[str, Value] = {"a": text, "list": [text, {"b": text}], text or "key": 1}
    written = write([value]).decode()
    assert read(written, "x.yaml")[0].value == value
    assert yaml.safe_load(written) == value


@pytest.mark.parametrize("number", [0, -1, 10**18, 0.1, 1e-9, 1e30, -2.5])
def test_numbers_stay_numbers(number: float) -> None:
    written = write([{"a": number}]).decode()
    assert yaml.safe_load(written) == read(written, "x.yaml")[0].value == {"a": number}


def test_the_order_of_keys_says_nothing() -> None:
    assert write([{"b": 1, "a": {"d": [], "c": {}}}]) == write([{"a": {"c": {}, "d": []}, "b": 1}])
    assert write([{"a": True}, {"b": None}]) == b"---\na: true\n---\nb: null\n"
