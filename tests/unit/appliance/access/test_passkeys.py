"""Passkeys against a sound authenticator and against every way in which one may not be: each refusal has its reason."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.access import totp
from appliance.access.book import Book, User
from appliance.access.desk import Desk
from appliance.access.model import Caller, Role, Via
from appliance.access.webauthn import CHALLENGE_SECONDS
from appliance.errors import AccessError, ConflictError, LoginError, NotFoundError, ThrottledError, UsageError
from appliance.model.codec import from_json
from tests.unit.appliance.access.authenticator import FLAG, Authenticator
from tests.unit.appliance.access.test_desk import HERE, OTHER, PASSWORD, Hands, play

ORIGIN = "https://rack.example:8443"
ANN = Caller(name="ann", role=Role.ADMIN, via=Via.SESSION, credential="5e5510")


async def with_passkey(desk: Desk, authenticator: Authenticator, name: str = "ann") -> None:
    caller = replace(ANN, name=name)
    if not any(user.name == name for user in desk.users()):
        await desk.add_user(name, Role.ADMIN, PASSWORD)
    options = await desk.passkeys.offer(caller, name, ORIGIN, PASSWORD, "", HERE)
    desk.passkeys.add(caller, name, "blue key", authenticator.make(options))


def entered(desk: Desk, authenticator: Authenticator, origin: str = ORIGIN) -> str:
    """Who comes in."""
    asked = desk.passkeys.ask(origin, HERE)
    return desk.passkeys.log_in(desk.passkeys.take(asked.ticket), authenticator.sign(asked.options), HERE).caller.name


def test_added_used_listed_and_removed(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        key = Authenticator(origin=ORIGIN)
        await with_passkey(desk, key)
        assert entered(desk, key) == "ann"
        assert entered(desk, key) == "ann"
        (passkey,) = desk.passkeys.of(ANN, "ann")
        assert (passkey.label, passkey.host, passkey.count, passkey.used) == (
            "blue key",
            "rack.example",
            3,
            clock.now(),
        )
        (session, _) = desk.sessions(ANN)
        assert session.session.how == "passkey blue key"
        desk.passkeys.remove(ANN, "ann", passkey.id)
        assert desk.sessions(ANN) == ()
        with pytest.raises(LoginError):
            entered(desk, key)
        with pytest.raises(NotFoundError):
            desk.passkeys.remove(ANN, "ann", passkey.id)

    play(tmp_path, scene)


def test_options_ask_for_a_passkey_of_this_host_with_its_user_verified(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        await desk.add_user("ann", Role.ADMIN, PASSWORD)
        made = json.loads(await desk.passkeys.offer(ANN, "ann", ORIGIN, PASSWORD, "", HERE))
        assert made["rp"] == {"id": "rack.example", "name": "lab"}
        assert made["authenticatorSelection"]["residentKey"] == "required"
        assert made["authenticatorSelection"]["userVerification"] == "required"
        assert b"ann" not in made["user"]["id"].encode()
        asked = json.loads(desk.passkeys.ask(ORIGIN, HERE).options)
        assert (asked["rpId"], asked["userVerification"]) == ("rack.example", "required")
        assert not asked.get("allowCredentials")

    play(tmp_path, scene)


WRONG: list[tuple[Callable[[Authenticator], None], str]] = [
    (lambda key: setattr(key, "origin", "https://evil.example"), "Invalid origin"),
    (lambda key: setattr(key, "origin", "https://rack.example"), "Invalid origin"),
    (lambda key: setattr(key, "origin", "http://rack.example:8443"), "Invalid origin"),
    (lambda key: setattr(key, "origin", "https://www.rack.example:8443"), "Invalid origin"),
    (lambda key: setattr(key, "rp", "evil.example"), "Wrong RP ID hash"),
    (lambda key: setattr(key, "rp", "example"), "Wrong RP ID hash"),
    (lambda key: setattr(key, "flags", FLAG.UP), "verif"),
    (lambda key: setattr(key, "flags", FLAG.UV), "User Present"),
    (lambda key: setattr(key, "cross_origin", True), "inside another site"),
]


@pytest.mark.parametrize(("spoil", "why"), WRONG)
def test_a_wrong_signature_does_not_come_in(tmp_path: Path, spoil: Callable[[Authenticator], None], why: str) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        key = Authenticator(origin=ORIGIN)
        await with_passkey(desk, key)
        spoil(key)
        with pytest.raises(LoginError) as refused:
            entered(desk, key)
        assert why in refused.value.evidence
        assert desk.sessions(ANN) == ()

    play(tmp_path, scene)


@pytest.mark.parametrize(("spoil", "why"), WRONG)
def test_a_wrong_passkey_is_not_taken(tmp_path: Path, spoil: Callable[[Authenticator], None], why: str) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        key = Authenticator(origin=ORIGIN)
        spoil(key)
        with pytest.raises(UsageError, match="cannot be taken") as refused:
            await with_passkey(desk, key)
        assert why in refused.value.evidence
        assert desk.passkeys.of(ANN, "ann") == ()

    play(tmp_path, scene)


def test_an_answer_counts_once(tmp_path: Path) -> None:
    """Also where the first one was wrong."""

    async def scene(desk: Desk, clock: Hands) -> None:
        key = Authenticator(origin=ORIGIN, count=0)
        await with_passkey(desk, key)
        asked = desk.passkeys.ask(ORIGIN, HERE)
        answer = key.sign(asked.options)
        desk.passkeys.log_in(desk.passkeys.take(asked.ticket), answer, HERE)
        with pytest.raises(LoginError, match="no passkey was asked for"):
            desk.passkeys.take(asked.ticket)
        other = desk.passkeys.ask(ORIGIN, HERE)
        with pytest.raises(LoginError) as refused:
            desk.passkeys.log_in(desk.passkeys.take(other.ticket), answer, HERE)
        assert "Wrong challenge" in refused.value.evidence
        with pytest.raises(LoginError, match="no passkey was asked for"):
            desk.passkeys.take(other.ticket)

    play(tmp_path, scene)


def test_an_old_challenge_is_none(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        key = Authenticator(origin=ORIGIN)
        await with_passkey(desk, key)
        in_time = desk.passkeys.ask(ORIGIN, HERE)
        clock.seconds += CHALLENGE_SECONDS - 1
        assert desk.passkeys.take(in_time.ticket).user == ""
        late = desk.passkeys.ask(ORIGIN, HERE)
        options = await desk.passkeys.offer(ANN, "ann", ORIGIN, PASSWORD, "", HERE)
        clock.seconds += CHALLENGE_SECONDS
        with pytest.raises(LoginError, match="too long ago"):
            desk.passkeys.take(late.ticket)
        with pytest.raises(LoginError, match="too long ago"):
            desk.passkeys.add(ANN, "ann", "late", Authenticator(origin=ORIGIN).make(options))

    play(tmp_path, scene)


def test_a_challenge_is_of_one_session_and_one_kind(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        key = Authenticator(origin=ORIGIN)
        await with_passkey(desk, key)
        options = await desk.passkeys.offer(ANN, "ann", ORIGIN, PASSWORD, "", HERE)
        other = Authenticator(origin=ORIGIN).make(options)
        with pytest.raises(LoginError, match="no passkey was asked for"):
            desk.passkeys.add(replace(ANN, credential="another session"), "ann", "x", other)
        with pytest.raises(LoginError, match="no passkey was asked for"):
            desk.passkeys.take(ANN.credential)
        asked = desk.passkeys.ask(ORIGIN, HERE)
        with pytest.raises(LoginError, match="no passkey was asked for"):
            desk.passkeys.add(replace(ANN, credential=asked.ticket), "ann", "x", other)

    play(tmp_path, scene)


def test_a_passkey_of_somebody_else_or_of_nobody(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        key, bobs = Authenticator(origin=ORIGIN), Authenticator(origin=ORIGIN)
        await with_passkey(desk, key)
        await desk.add_user("bob", Role.VIEWER, PASSWORD)
        await with_passkey(desk, bobs, "bob")
        assert entered(desk, bobs) == "bob"
        for stranger, why in (
            (Authenticator(origin=ORIGIN, handle=key.handle), "nobody here"),
            (Authenticator(origin=ORIGIN, handle=key.handle, id=key.id), "Invalid signature"),
            (replace(bobs, handle=key.handle), "another account's"),
            (replace(bobs, handle=b""), "another account's"),
            (replace(bobs, id=key.id), "another account's"),
        ):
            with pytest.raises(LoginError) as refused:
                entered(desk, stranger)
            assert why in refused.value.evidence
        with pytest.raises(ConflictError, match="known already"):
            await with_passkey(desk, replace(key), "bob")

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("kept", "next_", "ok"), [(7, 8, True), (7, 7, False), (7, 3, False), (7, 0, False), (0, 0, True)]
)
def test_the_count_of_signatures_only_grows(tmp_path: Path, kept: int, next_: int, ok: bool) -> None:
    """0 for ever is an authenticator that does not count (section 7.2, step 22)."""

    async def scene(desk: Desk, clock: Hands) -> None:
        key = Authenticator(origin=ORIGIN, count=kept)
        await with_passkey(desk, key)
        key.count = next_ - 1 if next_ else 0
        if ok:
            assert entered(desk, key) == "ann"
            return
        with pytest.raises(LoginError) as refused:
            entered(desk, key)
        assert "there is a copy of it" in refused.value.evidence

    play(tmp_path, scene)


def test_it_is_of_one_host_and_no_address(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        key = Authenticator(origin=ORIGIN)
        await with_passkey(desk, key)
        key.origin = "https://other.example"
        with pytest.raises(LoginError) as refused:
            entered(desk, key, key.origin)
        assert "another host's" in refused.value.evidence
        for origin in ("https://192.0.2.1:8443", "https://[2001:db8::1]", "https://"):
            with pytest.raises(UsageError) as unfit:
                desk.passkeys.ask(origin, HERE)
            assert "https_hosts" in unfit.value.next_action

    play(tmp_path, scene)


def test_who_adds_one_proves_the_password_again(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        await desk.add_user("ann", Role.ADMIN, PASSWORD)
        await desk.add_user("bob", Role.OPERATOR, PASSWORD)
        bob = replace(ANN, name="bob", role=Role.OPERATOR)
        with pytest.raises(LoginError):
            await desk.passkeys.offer(ANN, "ann", ORIGIN, OTHER, "", HERE)
        for caller, name in ((bob, "ann"), (ANN, "bob")):
            with pytest.raises(AccessError, match="only"):
                await desk.passkeys.offer(caller, name, ORIGIN, PASSWORD, "", HERE)
        with pytest.raises(AccessError, match="only an admin"):
            desk.passkeys.of(bob, "ann")
        with pytest.raises(AccessError, match="only an admin"):
            desk.passkeys.remove(bob, "ann", "0" * 16)
        secret, _ = desk.offer_totp(ANN, "ann")
        code = totp.code_at(desk.user("ann").offered, int(clock.now()) // 30)
        desk.confirm_totp(ANN, "ann", code, HERE)
        with pytest.raises(LoginError):
            await desk.passkeys.offer(ANN, "ann", ORIGIN, PASSWORD, code, HERE)
        clock.seconds += 30
        code = totp.code_at(desk.user("ann").totp, int(clock.now()) // 30)
        assert await desk.passkeys.offer(ANN, "ann", ORIGIN, PASSWORD, code, HERE)
        assert secret

    play(tmp_path, scene)


def test_guessing_is_slowed_down(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        key = Authenticator(origin=ORIGIN)
        await with_passkey(desk, key)
        for _ in range(40):
            assert entered(desk, key) == "ann"
        for _ in range(20):
            desk.passkeys.ask(ORIGIN, HERE)
        with pytest.raises(ThrottledError):
            desk.passkeys.ask(ORIGIN, HERE)
        assert desk.passkeys.ask(ORIGIN, "198.51.100.7")

    play(tmp_path, scene)


def test_a_disabled_account_and_one_that_is_gone(tmp_path: Path) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        key, bobs = Authenticator(origin=ORIGIN), Authenticator(origin=ORIGIN)
        await with_passkey(desk, key)
        await desk.add_user("bob", Role.VIEWER, PASSWORD)
        await with_passkey(desk, bobs, "bob")
        desk.change_user("bob", None, False)
        with pytest.raises(LoginError):
            entered(desk, bobs)
        desk.remove_user("bob")
        await desk.add_user("bob", Role.VIEWER, PASSWORD)
        with pytest.raises(LoginError):
            entered(desk, bobs)

    play(tmp_path, scene)


def test_a_second_factor(tmp_path: Path) -> None:
    """A passkey is one, a code is one, a password is none; the last one does not go."""

    async def scene(desk: Desk, clock: Hands) -> None:
        await desk.add_user("ann", Role.ADMIN, PASSWORD)
        with pytest.raises(ConflictError, match="would have none"):
            desk.change_user("ann", None, None, True)
        key = Authenticator(origin=ORIGIN)
        await with_passkey(desk, key)
        assert (await desk.log_in("ann", PASSWORD, "", HERE)).cookie
        desk.change_user("ann", None, None, True)
        with pytest.raises(LoginError):
            await desk.log_in("ann", PASSWORD, "", HERE)
        assert entered(desk, key) == "ann"
        (passkey,) = desk.passkeys.of(ANN, "ann")
        with pytest.raises(ConflictError, match="would have none"):
            desk.passkeys.remove(ANN, "ann", passkey.id)
        desk.offer_totp(ANN, "ann")
        code = totp.code_at(desk.user("ann").offered, int(clock.now()) // 30)
        desk.confirm_totp(ANN, "ann", code, HERE)
        desk.passkeys.remove(ANN, "ann", passkey.id)
        with pytest.raises(ConflictError, match="would have none"):
            desk.remove_totp(ANN, "ann")
        clock.seconds += 30
        code = totp.code_at(desk.user("ann").totp, int(clock.now()) // 30)
        assert (await desk.log_in("ann", PASSWORD, code, HERE)).cookie
        desk.change_user("ann", None, None, False)
        desk.remove_totp(ANN, "ann")

    play(tmp_path, scene)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"id": 7}',
        '{"id": "AA", "rawId": "AA", "response": {}, "type": "public-key"}',
        '{"id": "AA", "rawId": "AA", "response": {"clientDataJSON": "!", "attestationObject": "!"}}',
        '{"a": ' + "[" * 8000,
        "9" * 20000,
    ],
)
def test_hostile_answers_are_refused_in_words(tmp_path: Path, answer: str) -> None:
    async def scene(desk: Desk, clock: Hands) -> None:
        await with_passkey(desk, Authenticator(origin=ORIGIN))
        await desk.passkeys.offer(ANN, "ann", ORIGIN, PASSWORD, "", HERE)
        with pytest.raises(UsageError, match="cannot be taken"):
            desk.passkeys.add(ANN, "ann", "x", answer)
        asked = desk.passkeys.ask(ORIGIN, HERE)
        with pytest.raises(LoginError):
            desk.passkeys.log_in(desk.passkeys.take(asked.ticket), answer, HERE)

    play(tmp_path, scene)


def test_every_bit_of_a_signed_answer_counts(tmp_path: Path) -> None:
    """One character of each part is another: nothing but a refusal."""

    async def scene(desk: Desk, clock: Hands) -> None:
        key = Authenticator(origin=ORIGIN, count=0)
        await with_passkey(desk, key)
        for part in ("clientDataJSON", "authenticatorData", "signature", "userHandle"):
            asked = desk.passkeys.ask(ORIGIN, HERE)
            answer = json.loads(key.sign(asked.options))
            text = answer["response"][part]
            answer["response"][part] = text[:9] + ("A" if text[9] != "A" else "B") + text[10:]
            with pytest.raises(LoginError):
                desk.passkeys.log_in(desk.passkeys.take(asked.ticket), json.dumps(answer), HERE)

    play(tmp_path, scene)


class Kept:
    """A file in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def load(self) -> bytes:
        return self._data

    def save(self, data: bytes) -> None:
        self._data = data


def test_a_book_from_before_passkeys_is_read() -> None:
    user = (
        '{"name":"ann","role":"admin","password":{"salt":"00","digest":"00"},"created":1.0,'
        '"enabled":true,"totp":"","offered":"","step":0}'
    )
    book = Book(Kept(f'{{"users":[{user}],"tokens":[]}}'.encode()))
    assert (book.user("ann").passkeys, book.user("ann").second) == ((), False)
    assert from_json(User, user) == book.user("ann")
