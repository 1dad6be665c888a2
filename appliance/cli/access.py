"""`innervate user`, `token`, `audit`, `login-code`: who may do what, and who did. Secrets are asked for, or read from
files; none is ever an argument, which every process of the machine could read."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.context import Json, client_of, print_json, secret_in
from appliance.cli.exits import Exit
from appliance.errors import RefusedError, UsageError
from appliance.frontend.units import duration, moment
from appliance.model.access_views import (
    AuditEntryView,
    AuditVerdictView,
    AuditWanted,
    Outcome,
    PasskeyView,
    PasswordRequest,
    Role,
    SessionView,
    TokenRequest,
    TokenView,
    UserChangeRequest,
    UserRequest,
    UserView,
)
from appliance.model.text import clean

_PAGE = 1000
_WAIT_SECONDS = 25.0

Name = Annotated[str, typer.Argument(metavar="NAME")]
PasswordFile = Annotated[Path | None, typer.Option(help="Read the password from this file's first line.")]


def add_to(app: typer.Typer) -> None:
    users, tokens = (typer.Typer(no_args_is_help=True, rich_markup_mode=None) for _ in range(2))
    for verb in (add, role, password, disable, enable, remove, totp, second_factor):
        users.command()(verb)
    users.add_typer(_listing(list_passkeys, remove_passkey, "rm"), name="passkeys", help="Passkeys of an account.")
    users.add_typer(_listing(list_sessions, end_session, "end"), name="sessions", help="Browsers that are logged in.")
    users.command("list")(list_users)
    for token_verb in (make, revoke):
        tokens.command()(token_verb)
    tokens.command("list")(list_tokens)
    app.add_typer(users, name="user", help="Accounts: who may do what.")
    app.add_typer(tokens, name="token", help="Tokens for programs, and for this command elsewhere.")
    app.command()(audit)
    app.command()(login_code)


def _listing(ls: Callable[..., None], rm: Callable[..., None], verb: str) -> typer.Typer:
    made = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    made.command("ls")(ls)
    made.command(verb)(rm)
    return made


def list_users(context: typer.Context, as_json: Json = False) -> None:
    """Show all accounts."""
    view = client_of(context).users()
    print_json(view) if as_json else print("\n".join(map(_user_line, view.users)) or "there is no account")


def add(
    context: typer.Context,
    name: Name,
    role: Annotated[Role, typer.Option(help="What it may.")] = Role.VIEWER,
    password_file: PasswordFile = None,
    as_json: Json = False,
) -> None:
    """Make an account."""
    client = client_of(context)
    request = UserRequest(name=name, role=role, password=_password(password_file, f"Password of {name}", twice=True))
    _print_user(client.add_user(request), as_json=as_json)


def role(context: typer.Context, name: Name, role: Role, as_json: Json = False) -> None:
    """Give an account another role."""
    client = client_of(context)
    _print_user(client.change_user(client.user(name), UserChangeRequest(role=role)), as_json=as_json)


def disable(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Keep an account out; its sessions end, its tokens do nothing."""
    client = client_of(context)
    _print_user(client.change_user(client.user(name), UserChangeRequest(enabled=False)), as_json=as_json)


def enable(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Let a disabled account in again."""
    client = client_of(context)
    _print_user(client.change_user(client.user(name), UserChangeRequest(enabled=True)), as_json=as_json)


def password(
    context: typer.Context,
    name: Name,
    password_file: PasswordFile = None,
    current_file: Annotated[Path | None, typer.Option(help="For one's own: the present one, from this file.")] = None,
    as_json: Json = False,
) -> None:
    """Set an account's password; its other sessions end."""
    client = client_of(context)
    current = _password(current_file, "Present password") if client.me().name == name else ""
    request = PasswordRequest(password=_password(password_file, f"New password of {name}", twice=True), current=current)
    _print_user(client.set_password(name, request), as_json=as_json)


def remove(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Remove an account and all of its tokens."""
    client = client_of(context)
    seen = client.user(name)
    client.remove_user(seen)
    print_json(seen) if as_json else print(f"{name} is removed")


def totp(
    context: typer.Context,
    name: Name,
    off: Annotated[bool, typer.Option("--remove", help="As an admin: log-ins need no code any more.")] = False,
    as_json: Json = False,
) -> None:
    """Add an authenticator to one's own account: log-ins need its code from then on."""
    client = client_of(context)
    if off:
        _print_user(client.remove_totp(name), as_json=as_json)
        return
    offered = client.offer_totp(name)
    print(f"secret {offered.secret}\n{offered.uri}", file=sys.stderr)
    _print_user(client.confirm_totp(name, _line("Code that it shows now: ")), as_json=as_json)


def second_factor(
    context: typer.Context,
    name: Name,
    off: Annotated[bool, typer.Option("--off", help="A password alone does again.")] = False,
    as_json: Json = False,
) -> None:
    """Let an account in by password and code, or by passkey, but never by a password alone."""
    client = client_of(context)
    change = UserChangeRequest(second_factor=not off)
    _print_user(client.change_user(client.user(name), change), as_json=as_json)


def list_passkeys(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Show an account's passkeys. They are added in a browser: the page of one's own account."""
    view = client_of(context).passkeys(name)
    print_json(view) if as_json else print("\n".join(map(_passkey_line, view.passkeys)) or f"{name} has no passkey")


def remove_passkey(
    context: typer.Context, name: Name, passkey: Annotated[str, typer.Argument(metavar="ID")], as_json: Json = False
) -> None:
    """Remove a passkey: it opens nothing any more, and the account's other sessions end."""
    client_of(context).remove_passkey(name, passkey)
    if not as_json:
        print(f"passkey {passkey} of {name} is removed")


def list_sessions(context: typer.Context, as_json: Json = False) -> None:
    """Show who is logged in with a browser: oneself, or all to an admin."""
    view = client_of(context).sessions()
    print_json(view) if as_json else print("\n".join(map(_session_line, view.sessions)) or "nobody is logged in")


def end_session(
    context: typer.Context, session: Annotated[str, typer.Argument(metavar="ID")], as_json: Json = False
) -> None:
    """End a session at once."""
    client_of(context).end_session(session)
    if not as_json:
        print(f"session {session} has ended")


def list_tokens(context: typer.Context, as_json: Json = False) -> None:
    """Show the tokens, without what they open with: one's own, or all to an admin."""
    view = client_of(context).tokens()
    print_json(view) if as_json else print("\n".join(map(_token_line, view.tokens)) or "there is no token")


def make(
    context: typer.Context,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="What it is for.")],
    role: Annotated[Role, typer.Option(help="What it may; not more than you.")] = Role.VIEWER,
    days: Annotated[int, typer.Option(min=1, max=366, help="How long it lives.")] = 90,
    save: Annotated[Path | None, typer.Option(help="Write it to this new file instead of showing it.")] = None,
    as_json: Json = False,
) -> None:
    """Make a token. It is shown once."""
    file = None if save is None else _private(save)
    made = client_of(context).make_token(TokenRequest(label=label, role=role, days=days))
    if file is not None:
        with os.fdopen(file, "w") as opened:
            opened.write(f"{made.token}\n")
        print(f"token {made.id} is in {save}", file=sys.stderr)
    elif as_json:
        print_json(made)
    else:
        print(made.token)


def revoke(context: typer.Context, token: Annotated[str, typer.Argument(metavar="ID")], as_json: Json = False) -> None:
    """End a token at once."""
    client_of(context).revoke_token(token)
    if not as_json:
        print(f"token {token} is revoked")


def audit(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Then wait for more.")] = False,
    after: Annotated[int, typer.Option(min=0, help="Only those with a greater number.")] = 0,
    who: Annotated[str, typer.Option(help="Only what this account did.")] = "",
    what: Annotated[str, typer.Option(help="Only where event, route or target contain this.")] = "",
    outcome: Annotated[Outcome | None, typer.Option(help="Only what ended so.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="See whether a line was changed or is missing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show who did what, oldest first."""
    client = client_of(context)
    if verify:
        verdict = client.verify_audit()
        print_json(verdict) if as_json else print(
            f"{verdict.entries} lines, none changed or missing{_given_up(verdict)}"
            if verdict.broken is None
            else f"broken at line {verdict.broken}: {clean(verdict.reason, 300)}"
        )
        raise typer.Exit(Exit.OK if verdict.broken is None else Exit.FAILURE)
    wanted = AuditWanted(who=who, what=what, outcome=outcome)
    while True:
        page = client.audit(after=after, limit=_PAGE, wait=_WAIT_SECONDS if follow else 0, wanted=wanted)
        for entry in page.entries:
            print_json(entry) if as_json else print(_audit_line(entry), flush=True)
        if page.last == after and not follow:
            return
        after = page.last


def _given_up(verdict: AuditVerdictView) -> str:
    return f"; those up to {verdict.dropped} made room for newer ones" if verdict.dropped else ""


def login_code(context: typer.Context, as_json: Json = False) -> None:
    """Show the code that makes the first admin in a browser; on the Unix socket only, and once only."""
    view = client_of(context).setup()
    if as_json:
        print_json(view)
    elif not view.needed:
        print("there is an admin already; no code is needed", file=sys.stderr)
    elif not view.code:
        raise UsageError("the code is shown on the daemon's own machine only", next_action="run this there, as root")
    else:
        print(view.code)


def _password(file: Path | None, what: str, *, twice: bool = False) -> str:
    if file is not None:
        return secret_in(file)
    if not sys.stdin.isatty():
        raise RefusedError("there is no terminal to ask for the password on", next_action="name a --password-file")
    from getpass import getpass

    typed = getpass(f"{what}: ")
    if twice and getpass("Once more: ") != typed:
        raise UsageError("the two are not the same", next_action="try again")
    return typed


def _line(question: str) -> str:
    if sys.stdin.isatty():
        print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _private(file: Path) -> int:
    """Before the token is made: one that cannot be kept would be lost."""
    try:
        return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UsageError(f"cannot make {file}", evidence=str(error), next_action="name a new file") from error


def _print_user(user: UserView, *, as_json: bool) -> None:
    print_json(user) if as_json else print(_user_line(user))


def _user_line(user: UserView) -> str:
    notes = {
        "disabled": not user.enabled,
        "authenticator": user.totp,
        f"{user.passkeys} passkeys": user.passkeys > 0,
        "second factor": user.second_factor,
    }
    return "  ".join((clean(user.name, 32), user.role.value, *(note for note, holds in notes.items() if holds)))


def _passkey_line(passkey: PasskeyView) -> str:
    used = "never used" if passkey.used is None else f"used {moment(passkey.used)}"
    return "  ".join(
        (passkey.id, clean(passkey.host, 60), f"made {moment(passkey.created)}", used, clean(passkey.label, 60))
    )


def _session_line(session: SessionView) -> str:
    since, idle = f"since {moment(session.since)}", f"idle {duration(session.idle)}"
    return "  ".join(
        (session.id, clean(session.user, 60), clean(session.source, 64), since, idle, clean(session.how, 80))
    )


def _token_line(token: TokenView) -> str:
    used = "never used" if token.used is None else f"used {moment(token.used)}"
    words = (token.id, clean(token.user, 60), token.role.value, f"ends {moment(token.expires)}", used)
    return "  ".join((*words, clean(token.label, 60)))


def _audit_line(entry: AuditEntryView) -> str:
    return " ".join(_audit_words(entry))


def _audit_words(entry: AuditEntryView) -> Iterator[str]:
    yield moment(entry.time)
    yield clean(entry.who, 64) or "-"
    yield entry.via or "-"
    yield clean(entry.source, 64)
    yield entry.event
    yield clean(f"{entry.method} {entry.route}", 300)
    yield str(entry.status)
    if entry.target:
        yield clean(entry.target, 300)
