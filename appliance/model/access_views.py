"""What the REST API says of accounts, tokens and the audit log, as values; see `appliance.model.views`."""

from dataclasses import dataclass, field
from enum import Enum


class Role(Enum):
    """Each may do all that the one before it may. `VIEWER` changes nothing; `OPERATOR` runs machines; `ADMIN` also says
    who else may, and with which passwords BMCs are entered."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: "Role") -> bool:
        order = tuple(Role)
        return order.index(self) >= order.index(other)


class Via(Enum):
    """How a caller was known: by the kernel's word on a Unix socket, a token in the request, or a browser's session."""

    SOCKET = "socket"
    TOKEN = "token"  # noqa: S105  a way, not a secret
    SESSION = "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupView:
    """`needed` while there is no admin. `code` makes the first one; it is shown on the Unix socket only."""

    needed: bool
    code: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeView:
    """`csrf` goes into the header `X-CSRF-Token` of what a session changes; "" where there is no session."""

    name: str
    role: Role
    via: Via
    csrf: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserView:
    """`totp`: log-ins by password need a code as well. `second_factor`: a password alone does not do, be it that a code
    is asked for or a passkey. `passkeys` is how many there are."""

    name: str
    role: Role
    enabled: bool
    totp: bool
    created: float
    second_factor: bool = False
    passkeys: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UsersView:
    users: tuple[UserView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TotpView:
    """For an authenticator: `secret` in base32, `uri` for a QR code. It counts once a code has confirmed it."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyView:
    """`host` is the name of the appliance that it opens; browsers offer it nowhere else."""

    id: str
    label: str
    host: str
    created: float
    used: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeysView:
    passkeys: tuple[PasskeyView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeView:
    """`options` is JSON for `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`."""

    options: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionView:
    """A browser that is logged in. `id` ends it and opens nothing; `how` is by what it came in; `own`: it asks this."""

    id: str
    user: str
    source: str
    how: str
    since: float
    idle: float
    own: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsView:
    sessions: tuple[SessionView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenView:
    """`token` is shown by the answer that makes it, and never again. `used` is at most ten minutes behind."""

    id: str
    label: str
    user: str
    role: Role
    created: float
    expires: float
    used: float | None = None
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensView:
    tokens: tuple[TokenView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntryView:
    """`event` in the words of the OWASP logging vocabulary, or `request`; `target` is what the request named."""

    seq: int
    time: float
    who: str
    role: str
    via: str
    source: str
    event: str
    method: str
    route: str
    target: str
    status: int
    trace: str


class Outcome(Enum):
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


def outcome_of(status: int) -> Outcome:
    return Outcome.DONE if status < 400 else Outcome.REFUSED if status < 500 else Outcome.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditWanted:
    """Which lines: `who` is a whole name, `what` a part of event, route or target in whatever case; empty is all."""

    who: str = ""
    what: str = ""
    outcome: Outcome | None = None

    def fits(self, entry: AuditEntryView) -> bool:
        done = f"{entry.event} {entry.method} {entry.route} {entry.target}".lower()
        return (
            (not self.who or entry.who == self.who)
            and self.what.lower() in done
            and self.outcome in (None, outcome_of(entry.status))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditView:
    """In order of `seq`, and then `last` is what to ask after next time; or newest first, and then `next` is what to
    ask before, 0 where nothing older is left."""

    entries: tuple[AuditEntryView, ...]
    last: int
    next: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditVerdictView:
    """`broken` is the line, from 1, at which the chain of the `entries` lines breaks; None where it is whole. Lines up
    to `dropped` made room for newer ones."""

    entries: int
    dropped: int = 0
    broken: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupRequest:
    name: str
    code: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRequest:
    """`code` of the authenticator, where the account has one."""

    name: str
    password: str = field(repr=False)
    code: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRequest:
    name: str
    role: Role
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserChangeRequest:
    """None leaves as it is."""

    role: Role | None = None
    enabled: bool | None = None
    second_factor: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordRequest:
    """`current` is asked of those who change their own."""

    password: str = field(repr=False)
    current: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TotpRequest:
    code: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyOfferRequest:
    """Who adds a passkey proves the password again, and the code where the account has an authenticator."""

    password: str = field(repr=False)
    code: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyRequest:
    """`credential` is what `PublicKeyCredential.toJSON()` says, as JSON text."""

    label: str
    credential: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyLoginRequest:
    credential: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    label: str
    role: Role
    days: int = 90
