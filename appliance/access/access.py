"""What the API needs to know who may do what, and to write down who did."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.access.audit import AuditLog
from appliance.access.book import Book
from appliance.access.desk import Desk
from appliance.access.passwords import SCRYPT_COST
from appliance.ports import Clock, Rng
from appliance.store.secrets import SecretFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    desk: Desk
    audit: AuditLog


@contextmanager
def opened(folder: Path, clock: Clock, rng: Rng, *, issuer: str, scrypt_cost: int = SCRYPT_COST) -> Iterator[Access]:
    """Accounts and audit log in `folder`. Raises `MachineryError` where they cannot be used."""
    file = SecretFile(folder / "access.vault", rng)
    try:
        audit = AuditLog(folder / "audit.jsonl", clock)
        try:
            yield Access(desk=Desk(Book(file), clock, rng, issuer=issuer, scrypt_cost=scrypt_cost), audit=audit)
        finally:
            audit.close()
    finally:
        file.close()
