"""Names of clusters beside those of machines: what each wants is kept, and the name service has all of it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from appliance.errors import MachineryError, UsageError
from appliance.files import write_whole
from appliance.model.codec import from_json, to_json
from pxe.dns.packet import Address
from pxe.dns.responder import ZoneRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """By the cluster that wants them."""

    names: Mapping[str, tuple[Address, ...]] = field(default_factory=dict)


class NamesDesk:
    """`file` keeps what is wanted; `offer` has the name service answer with all of it."""

    def __init__(self, file: Path, offer: Callable[[tuple[ZoneRecord, ...]], None]) -> None:
        self._file, self._offer = file, offer
        try:
            self._wanted = from_json(_Wanted, file.read_bytes()) if file.exists() else _Wanted()
        except (OSError, UsageError) as error:
            action = f"remove {file}; clusters say again what they want"
            raise MachineryError(f"{file} cannot be read", evidence=str(error)[:200], next_action=action) from error
        self._tell()

    def wanted_by(self, cluster: str) -> tuple[Address, ...]:
        return self._wanted.names.get(cluster, ())

    async def want(self, cluster: str, names: tuple[Address, ...]) -> None:
        """In the place of all that `cluster` wanted before; on disk before anybody hears of it."""
        others = {name: those for name, those in self._wanted.names.items() if name != cluster}
        wanted = _Wanted(names=others | ({cluster: names} if names else {}))
        self._file.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(write_whole, self._file, to_json(wanted))
        self._wanted = wanted
        self._tell()

    def _tell(self) -> None:
        self._offer(tuple(one for _, those in sorted(self._wanted.names.items()) for one in those))
