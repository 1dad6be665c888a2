"""Accounts, sessions and tokens on a clock that stands still until it is moved."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.access import totp
from appliance.access.book import Book
from appliance.access.desk import Desk
from appliance.access.model import Caller, Role, Via
from appliance.access.sessions import ABSOLUTE_SECONDS, IDLE_SECONDS
from appliance.errors import (
    AccessError,
    ConflictError,
    InnervateError,
    LoginError,
    MachineryError,
    NotFoundError,
    ThrottledError,
    UsageError,
)
from appliance.store.secrets import SecretFile
from appliance.system import SystemRng

PASSWORD, OTHER = "correct horse battery", "staple staple staple"
HERE, THERE = "192.0.2.1", "192.0.2.2"


@dataclass
class Hands:
    """A clock that a test moves; `shifted` is how far the time of day has jumped beside it."""

    seconds: float = 1000.0
    shifted: float = 1_800_000_000.0

    def now(self) -> float:
        return self.seconds + self.shifted

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@contextmanager
def opened(folder: Path, clock: Hands) -> Iterator[Desk]:
    file = SecretFile(folder / "access.vault", SystemRng())
    try:
        yield Desk(Book(file), clock, SystemRng(), issuer="lab", scrypt_cost=16)
    finally:
        file.close()


Scene = Callable[[Desk, Hands], Awaitable[None]]


def play(folder: Path, scene: Scene) -> None:
    clock = Hands()

    async def whole() -> None:
        with opened(folder, clock) as desk:
            await desk.set_up("root", desk.setup_code, PASSWORD, HERE)
            await scene(desk, clock)

    asyncio.run(whole())


async def refused(kind: type[InnervateError], asked: Awaitable[object]) -> InnervateError:
    with pytest.raises(kind) as caught:
        await asked
    assert type(caught.value) is kind
    assert caught.value.next_action
    return caught.value


def admin(desk: Desk) -> Caller:
    return Caller(name="root", role=Role.ADMIN, via=Via.SOCKET)


def test_the_setup_code_makes_one_admin_once(tmp_path: Path) -> None:
    async def whole() -> None:
        with opened(tmp_path, Hands()) as desk:
            code = desk.setup_code
            assert len(code.replace("-", "")) == 16
            await refused(LoginError, desk.set_up("eve", "AAAA-AAAA-AAAA-AAAA", PASSWORD, HERE))
            await refused(UsageError, desk.set_up("eve", code, "short", HERE))
            typed = code.lower().replace("-", " ")
            asked = (desk.set_up("ann", typed, PASSWORD, HERE), desk.set_up("eve", code, PASSWORD, HERE))
            said = await asyncio.gather(*asked, return_exceptions=True)
            assert isinstance(said[1], ConflictError)
            assert [user.name for user in desk.users()] == ["ann"]
            assert desk.setup_code == ""
            await refused(ConflictError, desk.set_up("eve", code, PASSWORD, HERE))
        with opened(tmp_path, Hands()) as again:
            assert again.setup_code == ""
            assert (await again.log_in("ann", PASSWORD, "", HERE)).caller.role is Role.ADMIN

    asyncio.run(whole())


def test_there_is_no_default_password(tmp_path: Path) -> None:
    async def whole() -> None:
        with opened(tmp_path, Hands()) as desk:
            for name, password in (("admin", "admin"), ("root", ""), ("admin", ""), ("", "")):
                await refused(LoginError, desk.log_in(name, password, "", HERE))

    asyncio.run(whole())


def test_log_in_and_out(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        entered = await desk.log_in("root", PASSWORD, "", HERE)
        assert desk.by_session(entered.cookie) == entered.caller
        assert desk.csrf_of(entered.caller) == entered.csrf
        assert entered.cookie not in repr(entered.caller)
        wrong = await refused(LoginError, desk.log_in("root", OTHER, "", HERE))
        nobody = await refused(LoginError, desk.log_in("nobody", OTHER, "", HERE))
        assert str(wrong) == str(nobody)
        desk.log_out(entered.caller)
        assert desk.by_session(entered.cookie) is None
        assert desk.by_session("") is None

    play(tmp_path, scene)


def test_sessions_end_by_themselves(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        cookie = (await desk.log_in("root", PASSWORD, "", HERE)).cookie
        clock.shifted -= 10 * ABSOLUTE_SECONDS  # the time of day is no clock for this
        clock.seconds += IDLE_SECONDS - 1
        assert desk.by_session(cookie) is not None
        clock.seconds += IDLE_SECONDS
        assert desk.by_session(cookie) is None
        cookie = (await desk.log_in("root", PASSWORD, "", HERE)).cookie
        for _ in range(int(ABSOLUTE_SECONDS // (IDLE_SECONDS - 1))):
            clock.seconds += IDLE_SECONDS - 1
            assert desk.by_session(cookie) is not None
        clock.seconds += IDLE_SECONDS - 1
        assert desk.by_session(cookie) is None

    play(tmp_path, scene)


def test_what_ends_the_sessions_of_an_account(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        await desk.add_user("ann", Role.OPERATOR, PASSWORD)
        mine = await desk.log_in("ann", PASSWORD, "", HERE)
        other = await desk.log_in("ann", PASSWORD, "", THERE)
        desk.change_user("ann", Role.VIEWER, None)
        assert desk.by_session(mine.cookie) == Caller(
            name="ann", role=Role.VIEWER, via=Via.SESSION, credential=mine.caller.credential
        )
        await refused(LoginError, desk.set_password(mine.caller, "ann", OTHER, "wrong", HERE))
        await desk.set_password(mine.caller, "ann", OTHER, PASSWORD, HERE)
        assert desk.by_session(mine.cookie) is not None
        assert desk.by_session(other.cookie) is None
        await refused(LoginError, desk.log_in("ann", PASSWORD, "", HERE))
        await refused(AccessError, desk.set_password(mine.caller, "root", OTHER, OTHER, HERE))
        desk.change_user("ann", None, False)
        assert desk.by_session(mine.cookie) is None
        await refused(LoginError, desk.log_in("ann", OTHER, "", HERE))

    play(tmp_path, scene)


def test_the_last_admin_stays(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        await desk.add_user("ann", Role.ADMIN, PASSWORD)
        desk.change_user("ann", None, False)  # one that cannot come in is no other admin
        for change in (
            lambda: desk.change_user("root", Role.OPERATOR, None),
            lambda: desk.change_user("root", None, False),
            lambda: desk.remove_user("root"),
        ):
            with pytest.raises(ConflictError, match="last admin"):
                change()
        desk.change_user("ann", None, True)
        desk.remove_user("root")
        with pytest.raises(ConflictError, match="last admin"):
            desk.remove_user("ann")

    play(tmp_path, scene)


def test_tokens(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        await desk.add_user("ann", Role.OPERATOR, PASSWORD)
        ann = (await desk.log_in("ann", PASSWORD, "", HERE)).caller
        with pytest.raises(AccessError):
            desk.make_token(ann, "ci", Role.ADMIN, 1)
        token, text = desk.make_token(ann, "ci", Role.OPERATOR, 1)
        assert len(text.rpartition("_")[2]) * 4 == 256
        assert text not in repr(desk.tokens(ann))
        by_token = desk.by_token(text, HERE)
        assert by_token == Caller(name="ann", role=Role.OPERATOR, via=Via.TOKEN, credential=token.id)
        assert [one.used for one in desk.tokens(ann)] == [clock.now()]
        longer, _ = desk.make_token(by_token, "for ever", Role.VIEWER, 366)
        assert longer.expires == token.expires
        desk.change_user("ann", Role.VIEWER, None)
        assert desk.by_token(text, HERE).role is Role.VIEWER
        desk.change_user("ann", Role.ADMIN, None)
        assert desk.by_token(text, HERE).role is Role.OPERATOR
        for wrong in (text[:-1], text + "0", "inv_", "", f"inv_{token.id}_", "x" * 5000):
            with pytest.raises(LoginError):
                desk.by_token(wrong, HERE)
        clock.seconds += 86400
        with pytest.raises(LoginError, match="ended"):
            desk.by_token(text, HERE)

    play(tmp_path, scene)


def test_what_ends_a_token(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        await desk.add_user("ann", Role.OPERATOR, PASSWORD)
        await desk.add_user("bob", Role.OPERATOR, PASSWORD)
        ann = (await desk.log_in("ann", PASSWORD, "", HERE)).caller
        bob = (await desk.log_in("bob", PASSWORD, "", HERE)).caller
        _, first = desk.make_token(ann, "one", Role.VIEWER, 1)
        revoked, second = desk.make_token(ann, "two", Role.VIEWER, 1)
        with pytest.raises(NotFoundError):
            desk.revoke_token(bob, revoked.id)
        desk.revoke_token(ann, revoked.id)
        with pytest.raises(LoginError):
            desk.by_token(second, HERE)
        desk.change_user("ann", None, False)
        with pytest.raises(LoginError):
            desk.by_token(first, HERE)
        desk.change_user("ann", None, True)
        assert desk.by_token(first, HERE)
        desk.remove_user("ann")
        await desk.add_user("ann", Role.ADMIN, PASSWORD)
        with pytest.raises(LoginError):
            desk.by_token(first, HERE)

    play(tmp_path, scene)


def test_a_request_that_is_asked_again_leaves_one_token(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        _, lost = desk.make_token(admin(desk), "ci", Role.VIEWER, 1, asked="request")
        _, shown = desk.make_token(admin(desk), "ci", Role.VIEWER, 1, asked="request")
        assert len(desk.tokens(admin(desk))) == 1
        assert desk.by_token(shown, HERE)
        with pytest.raises(LoginError):
            desk.by_token(lost, HERE)

    play(tmp_path, scene)


def test_an_authenticator(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        me = (await desk.log_in("root", PASSWORD, "", HERE)).caller
        text, uri = desk.offer_totp(me, "root")
        assert text in uri
        secret = desk.user("root").offered
        await desk.log_in("root", PASSWORD, "", HERE)  # it is not asked for before it is proven
        with pytest.raises(UsageError):
            desk.confirm_totp(me, "root", "000000x", HERE)
        step = int(clock.now()) // 30
        desk.confirm_totp(me, "root", totp.code_at(secret, step), HERE)
        await refused(LoginError, desk.log_in("root", PASSWORD, "", HERE))
        await refused(LoginError, desk.log_in("root", PASSWORD, totp.code_at(secret, step), HERE))
        early = totp.code_at(secret, step + 1)
        await desk.log_in("root", PASSWORD, early, HERE)
        await refused(LoginError, desk.log_in("root", PASSWORD, early, HERE))
        with pytest.raises(ConflictError):
            desk.offer_totp(me, "root")
        desk.remove_totp(admin(desk), "root")
        await desk.log_in("root", PASSWORD, "", HERE)

    play(tmp_path, scene)


def test_a_used_code_stays_used_after_a_restart(tmp_path: Path) -> None:
    clock = Hands()

    async def whole() -> None:
        with opened(tmp_path, clock) as desk:
            await desk.set_up("root", desk.setup_code, PASSWORD, HERE)
            desk.offer_totp(admin(desk), "root")
            secret, step = desk.user("root").offered, int(clock.now()) // 30
            desk.confirm_totp(admin(desk), "root", totp.code_at(secret, step - 1), HERE)
            await desk.log_in("root", PASSWORD, totp.code_at(secret, step), HERE)
        with opened(tmp_path, clock) as desk:
            await refused(LoginError, desk.log_in("root", PASSWORD, totp.code_at(secret, step), HERE))

    asyncio.run(whole())


def test_guessing_an_account_is_slowed_down_and_never_ends_it(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        await desk.log_in("root", PASSWORD, "", HERE)
        for number in range(5):
            await refused(LoginError, desk.log_in("root", OTHER, "", f"198.51.100.{number}"))
        waits = []
        for number in range(12):
            late = await refused(ThrottledError, desk.log_in("root", PASSWORD, "", f"203.0.113.{number}"))
            assert isinstance(late, ThrottledError)
            waits.append(late.retry_after)
            clock.seconds += late.retry_after
            await refused(LoginError, desk.log_in("root", OTHER, "", f"203.0.113.{number}"))
        assert waits == sorted(waits)
        assert (waits[0], waits[-1]) == (1.0, 300.0)
        await desk.log_in("root", PASSWORD, "", HERE)  # who has been here before is not kept out
        clock.seconds += 300
        await desk.log_in("root", PASSWORD, "", THERE)

    play(tmp_path, scene)


def test_many_guesses_at_once_are_no_more_than_many_in_a_row(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        asked = (desk.log_in("ann", OTHER, "", HERE) for _ in range(50))
        said = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(type(answer) is LoginError for answer in said) == 5
        assert sum(type(answer) is ThrottledError for answer in said) == 45

    play(tmp_path, scene)


def test_one_source_that_tries_many_accounts(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        for number in range(20):
            await refused(LoginError, desk.log_in(f"user{number}", OTHER, "", THERE))
        await refused(ThrottledError, desk.log_in("root", PASSWORD, "", THERE))
        await desk.log_in("root", PASSWORD, "", HERE)
        clock.seconds += 900
        await desk.log_in("root", PASSWORD, "", THERE)

    play(tmp_path, scene)


def test_whoever_has_an_ipv6_network_is_one_source(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        for number in range(20):
            await refused(LoginError, desk.log_in(f"user{number}", OTHER, "", f"2001:db8::{number:x}"))
        await refused(ThrottledError, desk.log_in("root", PASSWORD, "", "2001:db8::ffff"))
        await desk.log_in("root", PASSWORD, "", "2001:db8:0:1::1")

    play(tmp_path, scene)


@pytest.mark.parametrize("name", ["", "Ann", "-a", "a b", "local:root", "a\n", "a" * 33, "ä"])
def test_names_that_no_account_has(tmp_path: Path, name: str) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        await refused(UsageError, desk.add_user(name, Role.VIEWER, PASSWORD))

    play(tmp_path, scene)


@pytest.mark.parametrize("password", ["", "elevenchars", "x" * 129, "annabellaann"])
def test_passwords_that_nobody_has(tmp_path: Path, password: str) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        error = await refused(UsageError, desk.add_user("annabella", Role.VIEWER, password))
        assert not password or password not in f"{error}{error.evidence}{error.next_action}"

    play(tmp_path, scene)


def test_nothing_that_opens_anything_is_on_disk_in_clear(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        made.append(desk.make_token(admin(desk), "ci", Role.VIEWER, 1)[1])

    made: list[str] = []
    play(tmp_path, scene)
    seen = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not [word for word in (PASSWORD, *made, "root") if word.encode() in seen]


def test_a_book_that_makes_no_sense(tmp_path: Path) -> None:
    file = SecretFile(tmp_path / "access.vault", SystemRng())
    file.save(b"{}x")
    with pytest.raises(MachineryError, match="accounts"):
        Book(file)
    file.close()
