"""What is known of a machine's TPM 2.0, and whether the one that is shown is the machine's. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.errors import SiteError
from appliance.model.ids import MachineName

WATCHED: Mapping[int, str] = {0: "the firmware itself", 7: "Secure Boot and its keys"}
"""The PCRs whose change is told (TCG PC Client Platform Firmware Profile, 3.3.4). The others follow boot order, cards
and what is booted, and are kept as evidence only."""
_SHOWN = 16
_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tpm:
    """`ek`: SHA-256 (hex) of the endorsement key that was proven last, empty where none was; `learnt`: the nonce of the
    boot that proved it first.

    `pcrs`: PCRs 0 to 7 as hex, as the last proven boot had them; `moved`: those of `WATCHED` that the boot before had
    otherwise, since `moved_at`. `lacks`: why the present boot has shown none.
    """

    ek: str = ""
    learnt: str = ""
    pcrs: tuple[str, ...] = ()
    moved: tuple[int, ...] = ()
    moved_at: float = 0.0
    lacks: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsed:
    """Whose endorsement keys are known: by the site program (`stated`), and by what machines have proven (`proven`)."""

    stated: Mapping[MachineName, frozenset[str]]
    proven: Mapping[MachineName, str]

    def contradiction(self, machine: MachineName, ek: str) -> str:
        """Why this endorsement key cannot be the machine's; empty where it is, or where nothing is known yet.

        What the site program states counts alone: so a TPM that was replaced is taken up.
        """
        for name in sorted({*self.stated, *self.proven} - {machine}):
            if ek in self.stated.get(name, frozenset({self.proven.get(name, "")})):
                return f"it shows the TPM of {name}: endorsement key {short(ek)}"
        stated, proven = self.stated.get(machine), self.proven.get(machine, "")
        if stated is not None and ek not in stated:
            return f"its TPM is none that the site program names: endorsement key {short(ek)}"
        if stated is None and proven and ek != proven:
            return f"its TPM is another than the one that it proved itself with: endorsement key {short(ek)}, \
{short(proven)} is known"
        return ""


def short(ek: str) -> str:
    return ek[:_SHOWN]


def moved(before: Sequence[str], now: Sequence[str]) -> tuple[int, ...]:
    """Which of `WATCHED` differ; none where one of the two boots was not measured."""
    if not before or not now:
        return ()
    return tuple(number for number in WATCHED if before[number] != now[number])


def check_endorsement_key(machine: MachineName, text: str) -> None:
    """Raises `SiteError` for what is no SHA-256."""
    if len(text) != 64 or not set(text) <= _DIGITS:
        raise SiteError(
            f"{machine}: an endorsement key is stated by its SHA-256",
            evidence=text[:80],
            next_action="write 64 lower-case hex digits, as innervate events shows them",
        )
