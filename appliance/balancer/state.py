"""What haproxy says of its servers (management.txt, "show servers state"). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from appliance.errors import MachineryError

_VERSION = "1"
_MAINTENANCE, _DRAINING = 0x01 | 0x02 | 0x04 | 0x20, 0x08 | 0x10
_RUNNING = "2"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendState:
    """`well`: checks pass, or it has not been found to be otherwise; `out`: somebody has taken it out."""

    listener: str
    backend: str
    address: IPv4Address
    port: int
    well: bool
    out: bool

    @property
    def serves(self) -> bool:
        return self.well and not self.out


def read_states(text: str) -> tuple[BackendState, ...]:
    """Raises `MachineryError` for what is no table of its first version."""
    version, _, rest = text.strip().partition("\n")
    header, *rows = rest.splitlines() or [""]
    columns = header.removeprefix("# ").split()
    if version.strip() != _VERSION or "srv_op_state" not in columns:
        raise _strange(text)
    return tuple(_state(dict(zip(columns, row.split(), strict=False)), row) for row in rows if row.strip())


def _state(row: Mapping[str, str], line: str) -> BackendState:
    try:
        administered = int(row["srv_admin_state"])
        return BackendState(
            listener=row["be_name"],
            backend=row["srv_name"],
            address=IPv4Address(row["srv_addr"]),
            port=int(row["srv_port"]),
            well=row["srv_op_state"] == _RUNNING,
            out=bool(administered & (_MAINTENANCE | _DRAINING)),
        )
    except (KeyError, ValueError) as error:
        raise _strange(line) from error


def _strange(text: str) -> MachineryError:
    return MachineryError(
        "the balancer says of its backends what nobody understands",
        evidence=text[:200],
        next_action="look which haproxy runs: 2.6 and later are known",
    )
