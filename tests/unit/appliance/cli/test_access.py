"""`innervate user`, `token`, `audit`, `login-code`, as root types them on the daemon's machine."""

import io
import json
from pathlib import Path

import pytest

from appliance.api.fake import Served
from appliance.model.access_views import (
    AuditEntryView,
    AuditVerdictView,
    PasskeysView,
    SessionsView,
    SetupView,
    TokensView,
    TokenView,
    UsersView,
    UserView,
)
from appliance.model.codec import from_json
from tests.unit.appliance.cli.conftest import Run

PASSWORD = "correct horse battery"


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\nrest\n")
    return str(path)


def test_the_setup_code(run: Run, server: Served, file: str) -> None:
    status, out, err = run("login-code")
    assert (status, err, len(out.strip().replace("-", ""))) == (0, "", 16)
    shown = from_json(SetupView, run("login-code", "--json")[1])
    assert (shown.needed, shown.code) == (True, out.strip())
    assert run("user", "add", "ann", "--role", "admin", "--password-file", file)[0] == 0
    assert run("login-code")[1] == ""
    assert not from_json(SetupView, run("login-code", "--json")[1]).needed


def test_accounts(run: Run, server: Served, file: str) -> None:
    assert run("user", "list")[1] == "there is no account\n"
    assert run("user", "add", "ann", "--password-file", file) == (0, "ann  viewer\n", "")
    assert run("user", "add", "ann", "--password-file", file)[0] == 5
    assert run("user", "role", "ann", "operator")[1] == "ann  operator\n"
    assert run("user", "disable", "ann")[1] == "ann  operator  disabled\n"
    assert run("user", "enable", "ann")[1] == "ann  operator\n"
    assert run("user", "password", "ann", "--password-file", file)[0] == 0
    assert [user.name for user in from_json(UsersView, run("user", "list", "--json")[1]).users] == ["ann"]
    assert run("user", "totp", "ann")[0] == 6  # only ann herself may
    assert run("user", "totp", "ann", "--remove")[0] == 0
    assert run("user", "remove", "ann")[1] == "ann is removed\n"
    assert run("user", "role", "ann", "admin")[0] == 4


def test_passkeys_sessions_and_a_second_factor(run: Run, server: Served, file: str) -> None:
    run("user", "add", "ann", "--password-file", file)
    assert run("user", "passkeys", "ls", "ann") == (0, "ann has no passkey\n", "")
    assert from_json(PasskeysView, run("user", "passkeys", "ls", "ann", "--json")[1]).passkeys == ()
    assert run("user", "passkeys", "rm", "ann", "0011223344556677")[0] == 4
    assert run("user", "passkeys", "ls", "bob")[0] == 4
    assert run("user", "sessions", "ls") == (0, "nobody is logged in\n", "")
    assert from_json(SessionsView, run("user", "sessions", "ls", "--json")[1]).sessions == ()
    assert run("user", "sessions", "end", "0011")[0] == 4
    status, _, err = run("user", "second-factor", "ann")
    assert (status, "add an authenticator or a passkey first" in err) == (5, True)
    assert run("user", "second-factor", "ann", "--off")[1] == "ann  viewer\n"


@pytest.mark.parametrize(
    "words", [("add", "ann"), ("role", "ann", "admin"), ("disable", "ann"), ("enable", "ann"), ("password", "ann"),
              ("totp", "ann", "--remove"), ("second-factor", "ann", "--off"), ("remove", "ann")]
)  # fmt: skip
def test_every_verb_has_json(run: Run, server: Served, file: str, words: tuple[str, ...]) -> None:
    more = ("--password-file", file)
    if words[0] != "add":
        run("user", "add", "ann", *more)
    status, out, _ = run("user", *words, *(more if words[0] in ("add", "password") else ()), "--json")
    assert (status, from_json(UserView, out).name) == (0, "ann")


def test_passwords_are_never_arguments(run: Run, server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    status, _, err = run("user", "add", "ann")
    assert (status, "--password-file" in err) == (9, True)
    assert run("user", "add", "ann", "--password", PASSWORD)[0] == 2
    assert run("user", "add", "ann", "--password-file", "/nowhere")[0] == 2


def test_passwords_are_asked_for_twice(run: Run, server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    typed = iter((PASSWORD, "another one, mistyped", PASSWORD, PASSWORD))
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda _prompt: next(typed))
    assert run("user", "add", "ann")[0] == 2
    assert run("user", "add", "ann")[0] == 0


def test_tokens(run: Run, server: Served, tmp_path: Path) -> None:
    status, out, err = run("token", "make", "ci", "--role", "operator", "--days", "3")
    assert (status, err) == (0, "")
    assert out.startswith("inv_")
    listed = run("token", "list")[1]
    assert out.strip() not in listed
    id_ = from_json(TokensView, run("token", "list", "--json")[1]).tokens[0].id
    assert listed.startswith(f"{id_}  local:")
    assert "never used" in listed
    kept = tmp_path / "token"
    assert run("token", "make", "cli", "--save", str(kept))[1] == ""
    assert (kept.stat().st_mode & 0o777, kept.read_text()[:4]) == (0o600, "inv_")
    assert run("token", "make", "cli", "--save", str(kept))[0] == 2
    assert from_json(TokenView, run("token", "make", "x", "--json")[1]).token
    assert run("token", "revoke", id_)[1] == f"token {id_} is revoked\n"
    assert run("token", "revoke", id_)[0] == 4
    assert run("token", "make", "two\nlines")[0] == 2


def test_the_audit_log(run: Run, server: Served, file: str) -> None:
    assert run("audit") == (0, "", "")
    run("user", "add", "ann", "--password-file", file)
    run("hold", "node-0", "--reason", "x")
    first, second = run("audit")[1].splitlines()
    assert first.endswith(" socket socket user_created POST /v1/users 201 named=ann")
    assert second.endswith(" socket socket request PUT /v1/machines/{name}/hold 200 name=node-0")
    entries = [from_json(AuditEntryView, line) for line in run("audit", "--after", "1", "--json")[1].splitlines()]
    assert [entry.seq for entry in entries] == [2]
    assert run("audit", "--what", "hold")[1] == f"{second}\n"
    assert run("audit", "--outcome", "refused") == (0, "", "")
    assert run("audit", "--who", "nobody") == (0, "", "")
    assert run("audit", "--outcome", "odd")[0] == 2
    assert run("audit", "--verify") == (0, "2 lines, none changed or missing\n", "")
    assert from_json(AuditVerdictView, run("audit", "--verify", "--json")[1]).broken is None


def test_a_server_elsewhere_needs_a_right_name(run: Run, server: Served) -> None:
    for words in (("--server", "http://rack"), ("--server", "https://rack/x"), ("--server", "rack")):
        assert run(*words, "status")[0] == 2
    assert run("--server", "https://localhost:1", "--fingerprint", "ab", "status")[0] == 2
    assert run("--server", "https://localhost:1", "--token-file", "/nowhere", "status")[0] == 2
    status, _, err = run("--server", "https://localhost:1", "status")
    assert (status, "https_port" in err) == (7, True)
    assert json.dumps(err)
