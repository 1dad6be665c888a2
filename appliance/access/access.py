"""What the API needs to know who may do what, and to write down who did, and what they were answered."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.access.audit import AuditLog
from appliance.access.book import Book
from appliance.access.desk import Desk
from appliance.access.passwords import SCRYPT_COST
from appliance.ports import Clock, Rng
from appliance.store.answers import Answers
from appliance.store.secrets import SecretFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    desk: Desk
    audit: AuditLog
    answers: Answers


@contextmanager
def opened(folder: Path, clock: Clock, rng: Rng, *, issuer: str, scrypt_cost: int = SCRYPT_COST) -> Iterator[Access]:
    """Accounts and audit log in `folder`. Raises `MachineryError` where they cannot be used."""
    with ExitStack() as closing:
        file = SecretFile(folder / "access.vault", rng)
        closing.callback(file.close)
        audit = AuditLog(folder / "audit.jsonl", clock)
        closing.callback(audit.close)
        answers = Answers(folder / "answers.jsonl", clock, rng)
        closing.callback(answers.close)
        desk = Desk(Book(file), clock, rng, issuer=issuer, scrypt_cost=scrypt_cost)
        yield Access(desk=desk, audit=audit, answers=answers)
