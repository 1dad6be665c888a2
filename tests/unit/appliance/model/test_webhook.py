"""Which receivers make sense, what is connected to, and what proves the sender."""

import hmac
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

import pytest

from appliance.errors import UsageError
from appliance.model.secret import Secret
from appliance.model.webhook import Webhook, headers, refusal, rest


def hook(url: str = "https://hook.example/in", name: str = "chat") -> Webhook:
    return Webhook(name=name, url=url, secret_file=Path("/secret"))


@pytest.mark.parametrize(
    "url",
    [
        "https://hook.example/in",
        "https://hook.example:8443/in?room=1",
        "https://10.0.0.9/in",
        "https://[fd00::9]/in",
        "http://localhost:8080/in",
        "http://127.0.0.1/in",
        "http://[::1]:80/in",
    ],
)
def test_receivers(url: str) -> None:
    assert hook(url).url == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://hook.example/in", "http:// would show everything on the way"),
        ("http://localhost.evil.example/", "http:// would show everything on the way"),
        ("http://127.0.0.1.nip.example/", "http:// would show everything on the way"),
        ("http://2130706433/", "http:// would show everything on the way"),
        ("file:///etc/shadow", "this is no URL of a receiver"),
        ("ftp://hook.example/", "not https"),
        ("https:///in", "this is no URL of a receiver"),
        ("https://user:pass@hook.example/", "a log-in or a fragment has no place in its URL"),
        ("https://hook.example/#x", "a log-in or a fragment has no place in its URL"),
        ("https://hook.example:99999/", "this is no URL"),
        ("https://[::1/", "this is no URL"),
        ("https://hook.example/\r\nX: y", "this is no URL of a receiver"),
        ("", "this is no URL of a receiver"),
    ],
)
def test_no_receivers(url: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        hook(url)
    assert str(caught.value) == f"webhook chat: {why}"


@pytest.mark.parametrize("name", ["", "Chat", "../x", "a" * 33, "-a"])
def test_names_are_names_of_files(name: str) -> None:
    with pytest.raises(UsageError):
        hook(name=name)


@pytest.mark.parametrize(
    ("address", "far", "here"),
    [
        ("192.0.2.9", True, False),
        ("10.0.0.9", True, False),
        ("2001:db8::9", True, False),
        ("fd00::9", True, False),
        ("127.0.0.1", False, True),
        ("127.9.9.9", False, True),
        ("::1", False, True),
        ("::ffff:127.0.0.1", False, True),
        ("169.254.169.254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("fe80::1", False, False),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("224.0.0.1", False, False),
        ("255.255.255.255", False, False),
        ("240.0.0.1", False, False),
    ],
)
def test_addresses(address: str, far: bool, here: bool) -> None:
    found = ip_address(address)
    assert (not refusal(found, hook()), not refusal(found, hook("http://localhost/"))) == (far, here)


def test_a_signature_covers_time_and_body() -> None:
    def signed(body: bytes, at: float, secret: str) -> str:
        return headers(body, kind="noted", seq=7, at=at, secret=Secret(secret))["X-Innervate-Signature"]

    expected = hmac.new(b"s3cret", b"1800000000." + b'{"a":1}', sha256).hexdigest()
    assert signed(b'{"a":1}', 1_800_000_000.9, "s3cret") == f"sha256={expected}"
    others = {signed(b'{"a":2}', 1_800_000_000, "s3cret"), signed(b'{"a":1}', 1_800_000_001, "s3cret")}
    assert len({signed(b'{"a":1}', 1_800_000_000, "s3cret"), *others, signed(b'{"a":1}', 1_800_000_000, "s")}) == 4


def test_the_secret_is_in_no_header() -> None:
    assert "s3cret" not in str(headers(b"x", kind="noted", seq=1, at=1.0, secret=Secret("s3cret")))


def test_rests_grow() -> None:
    assert [rest(failures) for failures in (1, 2, 3, 9, 10, 5000)] == [1, 2, 4, 256, 300, 300]
