"""What the appliance knows of the BMCs' users and passwords, and how often it may still guess.

* Entries are what a person gave: for one BMC (MAC, serial), a make, the whole site, or a make's factory default.
* Records are what was learnt, one per BMC: the log-in that works, one that a rotation has begun, what was refused.
* A try is on record before it is made, so that one that a crash cut off counts: `MAX_TRIES` failures per BMC and
  `REST_SECONDS`, whatever happens. An entry that a BMC refused is not tried on it again.
* A BMC whose certificate is another than at the last log-in is told nothing.

Every change is on disk, encrypted, when its method returns.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from appliance.bmc.discovery import Dialect, Found, Login
from appliance.bmc.ipmi.rakp import MAX_PASSWORD_BYTES, MAX_USER_BYTES
from appliance.errors import BmcError, BmcLoginError, MachineryError, NotFoundError, UsageError
from appliance.model.bmc import BmcEndpoint
from appliance.model.bmc_views import VaultScope
from appliance.model.codec import from_json, to_json
from appliance.model.secret import Secret
from appliance.ports import Clock
from appliance.store.secrets import SecretFile

MAX_TRIES = 2
REST_SECONDS = 1800.0
"""BMCs lock an account after three failures and more, and forget them within half an hour."""


_CLOSENESS = {scope: place for place, scope in enumerate(VaultScope)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`value` is the MAC, the serial number, or the make ("" with `VaultScope.SITE`); of two for the same scope the one
    with the higher `priority` is tried first."""

    scope: VaultScope
    value: str
    user: str
    password: Secret
    priority: int = 0

    def __post_init__(self) -> None:
        if (self.scope is VaultScope.SITE) is bool(self.value):
            action = "say which MAC, serial or make; for the whole site none"
            raise UsageError(f"an entry for a {self.scope.value} as written fits no BMC", next_action=action)


# What makers print into their manuals. HPE's and most newer BMCs have one of their own, on their label.
_FACTORY = (
    ("Dell", "root", "calvin"),
    ("Supermicro", "ADMIN", "ADMIN"),
    ("Lenovo", "USERID", "PASSW0RD"),
    ("AMI", "admin", "admin"),
    ("NVIDIA", "root", "0penBmc"),
    ("OpenBMC", "root", "0penBmc"),
)


def factory_defaults() -> tuple[Entry, ...]:
    """To be added to a vault by who wants them tried."""
    return tuple(
        Entry(scope=VaultScope.FACTORY, value=make, user=user, password=Secret(password))
        for make, user, password in _FACTORY
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """`names` are what the BMC was known by. `working` is what worked last; `begun` is a password that it may have by
    now. `refused` are digests of log-ins and when each was refused; `tries` is when those without a good end began."""

    names: Mapping[str, str]
    fingerprint: str = ""
    working: Login | None = None
    begun: Login | None = None
    refused: Mapping[str, float] = field(default_factory=dict)
    tries: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contents:
    entries: tuple[Entry, ...] = ()
    records: tuple[Record, ...] = ()


class Vault:
    """Raises `MachineryError` where its file cannot be used. Not for threads."""

    def __init__(self, file: SecretFile, clock: Clock) -> None:
        self._file, self._clock = file, clock
        self._contents = _read(file)

    def entries(self) -> tuple[Entry, ...]:
        return self._contents.entries

    def records(self) -> tuple[Record, ...]:
        """What was learnt, one of each BMC."""
        return self._contents.records

    def was_given(self, login: Login) -> bool:
        """Whether a person has told it, and so knows it."""
        return _digest(login) in {_digest(Login(user=one.user, password=one.password)) for one in self.entries()}

    def add(self, *entries: Entry) -> None:
        """One for the same scope, value and user is replaced."""
        given = {_name(entry): entry for entry in (*self._contents.entries, *entries)}
        self._save(replace(self._contents, entries=tuple(given.values())))

    def remove(self, scope: VaultScope, value: str, user: str) -> None:
        """Raises `NotFoundError`."""
        kept = tuple(entry for entry in self._contents.entries if _name(entry) != (scope, value, user))
        if len(kept) == len(self._contents.entries):
            raise NotFoundError("the vault has no such entry", next_action="list its entries")
        self._save(replace(self._contents, entries=kept))

    def candidates(self, found: Found, stated: Login | None = None) -> tuple[Login, ...]:
        """What to try now, likeliest first; `stated` is what else was said of this BMC. Raises `BmcError` where nothing
        may be tried."""
        record = self._pinned(found)
        left = MAX_TRIES - len(self._recent(record))
        if left <= 0:
            seen = f"{MAX_TRIES} log-ins failed within {REST_SECONDS / 60:.0f} minutes"
            action = "wait, or correct the vault and say that this BMC may be tried again"
            raise BmcLoginError(f"{found.url} is left alone for now", evidence=seen, next_action=action)
        worth = self._worth_a_try(found, record, stated)
        return tuple(islice((login for login in worth if _can_carry(found, login)), left))

    def known(self, found: Found) -> Login | None:
        """What worked last."""
        return self._pinned(found).working

    def begun(self, found: Found) -> Login | None:
        """What a rotation has begun to set and not proven yet."""
        return self._pinned(found).begun

    def trying(self, found: Found) -> None:
        """To be called before a log-in is sent, and one of the next three after it."""
        record = self._pinned(found)
        self._keep(found, replace(record, tries=(*self._recent(record), self._clock.now())))

    def worked(self, found: Found, login: Login) -> None:
        """It is the one to use from now on. A password that a rotation has begun to set stays on record until it is
        the one that works: a BMC may take it after it has reported a failure."""
        record = self._pinned(found)
        digest = _digest(login)
        begun = None if record.begun is not None and _digest(record.begun) == digest else record.begun
        refused = {other: time for other, time in record.refused.items() if other != digest}
        fingerprint = found.fingerprint or record.fingerprint
        self._keep(
            found, replace(record, fingerprint=fingerprint, working=login, begun=begun, refused=refused, tries=())
        )

    def was_refused(self, found: Found, login: Login) -> None:
        record = self._pinned(found)
        refused = {**record.refused, _digest(login): self._clock.now()}
        self._keep(found, replace(record, refused=refused))

    def was_not_heard(self, found: Found) -> None:
        """The log-in came to nothing for another reason, and counts for nothing."""
        record = self._pinned(found)
        self._keep(found, replace(record, tries=record.tries[:-1]))

    def begin(self, found: Found, password: Secret) -> Login:
        """Before a password is changed: a BMC that has it already is never locked out of. Raises `NotFoundError`
        where no log-in is known yet. A rotation that was begun before goes on with its own password."""
        record = self._pinned(found)
        if record.working is None:
            raise NotFoundError(f"no log-in of {found.url} is known", next_action="log in to it first")
        login = record.begun or Login(user=record.working.user, password=password)
        self._keep(found, replace(record, begun=login))
        return login

    def forgive(self, found: Found) -> None:
        """A person says that the BMC may be tried again, with everything, and that its certificate is right."""
        record = self._record(found)
        self._keep(found, replace(record, fingerprint=found.fingerprint or record.fingerprint, refused={}, tries=()))

    def forget(self, found: Found) -> None:
        """What was learnt of it; the entries stay. Raises `NotFoundError`."""
        record = self._record(found)
        kept = tuple(other for other in self._contents.records if other is not record)
        if len(kept) == len(self._contents.records):
            raise NotFoundError(
                f"the vault knows nothing of {found.url}", next_action="see its URL: innervate bmc find"
            )
        self._save(replace(self._contents, records=kept))

    def _worth_a_try(self, found: Found, record: Record, stated: Login | None) -> Iterator[Login]:
        """Our own first, then the entries; own ones that were refused lately last, for a BMC may have been locked by
        someone else."""
        own = [login for login in (record.begun, record.working) if login is not None]
        fresh = [login for login in own if _digest(login) not in record.refused]
        stale = [login for login in own if login not in fresh and self._has_rested(record, login)]
        seen = {_digest(login) for login in own} | set(record.refused)
        yield from fresh
        yield from stale[:1]
        for login in (*([stated] if stated else []), *self._entries_for(found)):
            digest = _digest(login)
            if digest not in seen:
                seen.add(digest)
                yield login
        yield from stale[1:]

    def _has_rested(self, record: Record, login: Login) -> bool:
        return self._clock.now() - record.refused[_digest(login)] > REST_SECONDS

    def _entries_for(self, found: Found) -> Iterator[Login]:
        fitting = [entry for entry in self._contents.entries if _fits(entry, found)]
        for entry in sorted(fitting, key=lambda entry: (_CLOSENESS[entry.scope], -entry.priority)):
            yield Login(user=entry.user, password=entry.password, factory=entry.scope is VaultScope.FACTORY)

    def _recent(self, record: Record) -> tuple[float, ...]:
        """A clock that was set back forgives nothing early: a try in the future counts too."""
        return tuple(time for time in record.tries if self._clock.now() - time < REST_SECONDS)

    def _pinned(self, found: Found) -> Record:
        record = self._record(found)
        if record.fingerprint and found.fingerprint and record.fingerprint != found.fingerprint:
            got = f"SHA-256 {found.fingerprint}, pinned {record.fingerprint}"
            action = "find out why before you pin the new one: nothing was sent to it"
            raise BmcError(f"the certificate of {found.url} has changed", evidence=got, next_action=action)
        return record

    def _record(self, found: Found) -> Record:
        """The one that shares the most believed name with it; of two the later."""
        names = _names(found)
        ranked = ((_likeness(record.names, names), record) for record in reversed(self._contents.records))
        known = [(rank, record) for rank, record in ranked if rank is not None]
        return min(known, key=lambda pair: pair[0])[1] if known else Record(names=names)

    def _keep(self, found: Found, record: Record) -> None:
        """In the place of the one it was made from."""
        before = self._record(found)
        others = tuple(other for other in self._contents.records if other is not before)
        kept = replace(record, names={**record.names, **_names(found)})
        self._save(replace(self._contents, records=(*others, kept)))

    def _save(self, contents: _Contents) -> None:
        self._file.save(to_json(contents))
        self._contents = contents


def endpoint_of(found: Found, login: Login) -> BmcEndpoint:
    return BmcEndpoint(url=found.url, user=login.user, password=login.password, fingerprint=found.fingerprint)


def _read(file: SecretFile) -> _Contents:
    data = file.load()
    try:
        return _Contents() if data is None else from_json(_Contents, data)
    except UsageError as error:
        action = "restore the vault from a backup"
        raise MachineryError("the vault cannot be read", evidence=str(error), next_action=action) from error


def _name(entry: Entry) -> tuple[VaultScope, str, str]:
    return entry.scope, entry.value, entry.user


def _names(found: Found) -> dict[str, str]:
    traits = found.traits
    stated = {
        "mac": str(traits.mac or ""),
        "uuid": str(traits.uuid or ""),
        "serial": traits.serial,
        "certificate": found.fingerprint,
        "url": found.url,
    }
    return {name: value for name, value in stated.items() if value}


_BELIEVED = ("mac", "uuid", "serial", "certificate", "url")


def _likeness(ours: Mapping[str, str], theirs: Mapping[str, str]) -> int | None:
    """The place in `_BELIEVED` of the first name that both have; None where it is another's. Addresses move and
    certificates are renewed: a certificate can show who a BMC is, but not who it is not."""
    for place, name in enumerate(_BELIEVED):
        if name in ours and name in theirs:
            if ours[name] == theirs[name]:
                return place
            if name != "certificate":
                return None
    return None


def _fits(entry: Entry, found: Found) -> bool:
    traits = found.traits
    match entry.scope:
        case VaultScope.MAC:
            return traits.mac is not None and entry.value.lower() == str(traits.mac)
        case VaultScope.SERIAL:
            return entry.value == traits.serial
        case VaultScope.MAKE | VaultScope.FACTORY:
            return traits.make.casefold().startswith(entry.value.casefold())
        case VaultScope.SITE:
            return True


def _can_carry(found: Found, login: Login) -> bool:
    user, password = len(login.user.encode()), len(login.password.reveal().encode())
    return found.dialect is Dialect.REDFISH or (user <= MAX_USER_BYTES and password <= MAX_PASSWORD_BYTES)


def _digest(login: Login) -> str:
    """Kept inside the encrypted file only."""
    return hashlib.sha256(f"{login.user}\0{login.password.reveal()}".encode()).hexdigest()
