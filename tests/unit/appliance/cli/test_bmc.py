"""`innervate bmc` as a person runs it, against the real API with nothing behind it."""

import io
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from appliance.api.fake import FakeApplication, served
from appliance.api.fake_bmcs import FakeBmcs
from appliance.main import main
from appliance.model.bmc_views import BmcSearchRequest, BmcsView, BmcView, LoginState, VaultScope, VaultView
from appliance.model.codec import from_json

Run = Callable[..., tuple[int, str, str]]
URL = "https://10.0.1.9"
FOUND = BmcView(
    url=URL,
    machine="node-0",
    make="Acme\x1b[31m",
    mac="52:54:00:00:00:01",
    fingerprint="ab" * 32,
    login=LoginState.WORKS,
    user="root",
    must_change=True,
    serial="SN1",
)
SHUT = BmcView(
    url="ipmi://10.0.1.10",
    machine="",
    make="",
    mac="",
    fingerprint="",
    login=LoginState.FAILED,
    problem="no log-in of the vault opens it",
    evidence="2 tries",
    next_action="look at its label",
)


@pytest.fixture
def desk() -> FakeBmcs:
    return FakeBmcs(known={URL: FOUND})


@pytest.fixture
def run(
    desk: FakeBmcs, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    socket_path = tmp_path / "api.sock"
    monkeypatch.setenv("INNERVATE_SOCKET", str(socket_path))

    def run(*arguments: str, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        status = main(("bmc", *arguments))
        out, err = capsys.readouterr()
        return status, out, err

    with served(FakeApplication(bmc_desk=desk), socket_path):
        yield run


def test_find(run: Run, desk: FakeBmcs, tmp_path: Path) -> None:
    listed = tmp_path / "list"
    listed.write_text("10.0.1.9 mac=52:54:00:00:00:01\n")
    status, out, err = run("find", "10.0.1.0/24", URL, "--list", str(listed), "--from", "10.0.1.1", "--login")
    assert (status, err) == (0, "")
    request = BmcSearchRequest(targets=("10.0.1.0/24", URL), stated=listed.read_text(), ours=("10.0.1.1",), login=True)
    assert [asdict(asked) for asked in desk.asked] == [asdict(request)]
    assert out.splitlines() == [
        f"{URL}  node-0  Acme  SN1  52:54:00:00:00:01",
        f"  certificate SHA-256 {'ab' * 32}",
        f"  entered as root; everybody knows the password: innervate bmc rotate {URL}",
    ]


def test_find_tells_why_a_bmc_is_shut(run: Run, desk: FakeBmcs) -> None:
    desk.known[SHUT.url] = SHUT
    status, out, _ = run("find")
    assert status == 3
    assert out.splitlines()[-4:] == [
        "ipmi://10.0.1.10  (new)",
        "  no log-in of the vault opens it",
        "    seen: 2 tries",
        "    next: look at its label",
    ]
    del desk.known[URL]
    assert run("find")[0] == 1


def test_last_search_is_shown_without_another(run: Run, desk: FakeBmcs) -> None:
    assert from_json(BmcsView, run("find", "--last", "--json")[1]).bmcs == (FOUND,)
    assert not desk.asked
    desk.known.clear()
    assert run("find", "--last")[1] == "no BMC was found\n"


def test_list_that_is_no_text(run: Run, desk: FakeBmcs, tmp_path: Path) -> None:
    status, _, err = run("find", "--list", str(tmp_path))
    assert (status, desk.asked) == (2, [])
    assert "cannot read" in err


@pytest.mark.parametrize(
    ("arguments", "scope", "value"),
    [
        (("--site",), VaultScope.SITE, ""),
        (("--mac", "52:54:00:00:00:01"), VaultScope.MAC, "52:54:00:00:00:01"),
        (("--serial", "SN1"), VaultScope.SERIAL, "SN1"),
        (("--make", "Dell"), VaultScope.MAKE, "Dell"),
        (("--factory", "Dell"), VaultScope.FACTORY, "Dell"),
    ],
)
def test_vault(run: Run, desk: FakeBmcs, arguments: tuple[str, ...], scope: VaultScope, value: str) -> None:
    status, out, err = run(
        "vault", "add", "ops", *arguments, "--password-stdin", "--priority", "2", typed="s3cret word\nrest\n"
    )
    assert (status, err) == (0, "")
    assert out == f"{scope.value} {value}".rstrip() + "  ops  priority 2\n"
    assert desk.kept[scope, value, "ops"].password.reveal() == "s3cret word"
    assert run("vault", "list")[1] == out
    listed = run("vault", "list", "--json")[1]
    assert from_json(VaultView, listed) == desk.vault()
    assert "s3cret" not in listed
    again = ("vault", "add", "ops", *arguments, "--password-stdin", "--json")
    assert from_json(VaultView, run(*again, typed="s3cret word\n")[1]) == desk.vault()
    assert run("vault", "remove", "ops", *arguments)[1] == "the vault is empty\n"
    assert run("vault", "remove", "ops", *arguments)[0] == 4


def test_password_is_asked_for_on_a_terminal_only(run: Run, desk: FakeBmcs) -> None:
    status, _, err = run("vault", "add", "ops", "--site")
    assert (status, desk.kept) == (9, {})
    assert "--password-stdin" in err


@pytest.mark.parametrize("arguments", [(), ("--site", "--make", "Dell")])
def test_log_in_is_for_one_kind_of_bmc(run: Run, desk: FakeBmcs, arguments: tuple[str, ...]) -> None:
    assert run("vault", "add", "ops", *arguments, "--password-stdin", typed="x\n")[0] == 2
    assert not desk.kept


def test_factory_defaults(run: Run, desk: FakeBmcs) -> None:
    assert "factory Dell  root" in run("vault", "defaults")[1]
    assert len(desk.kept) == 6
    assert len(from_json(VaultView, run("vault", "defaults", "--json")[1]).entries) == 6


def test_one_bmc(run: Run, desk: FakeBmcs) -> None:
    assert "a log-in has proven it" in run("rotate", URL)[1]
    assert not desk.known[URL].must_change
    assert run("forgive", URL)[1].startswith(URL)
    assert desk.forgiven == [URL]
    assert run("forget", URL)[0] == 0
    assert run("rotate", "https://10.0.1.77")[0] == 4
    for verb in ("rotate", "forgive", "forget"):
        assert from_json(BmcView, run(verb, URL, "--json")[1]) == desk.known[URL]
