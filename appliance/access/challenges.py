"""Challenges that were given and are not answered yet: each counts once, for two minutes, for whom it was given to."""

from dataclasses import dataclass

from appliance.access.webauthn import CHALLENGE_BYTES, CHALLENGE_SECONDS, Party
from appliance.errors import LoginError
from appliance.ports import Clock, Rng

_MOST = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """`user` is the account that adds a passkey, "" where somebody comes in. `until` is monotonic."""

    nonce: bytes
    party: Party
    user: str
    until: float


class Challenges:
    """By the digest of the session or pre-session that asked: a second one takes the place of the first."""

    def __init__(self, clock: Clock, rng: Rng) -> None:
        self._clock, self._rng = clock, rng
        self._given: dict[str, Challenge] = {}

    def give(self, whom: str, party: Party, user: str = "") -> Challenge:
        """The oldest makes room."""
        now = self._clock.monotonic()
        self._given = {key: one for key, one in self._given.items() if one.until > now and key != whom}
        while len(self._given) >= _MOST:
            del self._given[next(iter(self._given))]
        nonce = bytes.fromhex(self._rng.token(CHALLENGE_BYTES))
        challenge = Challenge(nonce=nonce, party=party, user=user, until=now + CHALLENGE_SECONDS)
        self._given[whom] = challenge
        return challenge

    def take(self, whom: str, user: str = "") -> Challenge:
        """Whatever comes of it, it is spent. Raises `LoginError`."""
        challenge = self._given.pop(whom, None)
        if challenge is None or challenge.until <= self._clock.monotonic() or challenge.user != user:
            raise LoginError("no passkey was asked for here, or too long ago", next_action="begin again")
        return challenge
