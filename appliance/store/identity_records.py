"""What the appliance remembers of who a machine is: what it showed for itself, and who believed it."""

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal

from appliance.model.identity import Rung
from appliance.model.ids import MachineName, Nonce


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPlaced:
    """A one-time token for the boot with this nonce lies in the drive of the machine's BMC; `number` is its own."""

    machine: MachineName
    nonce: Nonce
    number: int
    record: Literal["token-placed"] = "token-placed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentBound:
    """This key (hex) speaks for the machine in this boot. `token` is the id of the one that it redeemed, if any.

    `why`: what was strange about it.
    """

    machine: MachineName
    nonce: Nonce
    key: str
    boot_id: str
    rung: Rung
    client: IPv4Address
    token: str = ""
    why: str = ""
    record: Literal["agent-bound"] = "agent-bound"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityConfirmed:
    """A person has compared the code on the machine's console with the appliance's."""

    machine: MachineName
    nonce: Nonce
    key: str
    by: str = ""
    record: Literal["identity-confirmed"] = "identity-confirmed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRefused:
    """A code that was not the one that the machine shows, or came too late."""

    machine: MachineName
    why: str
    by: str = ""
    record: Literal["code-refused"] = "code-refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityDisputed:
    """Two have claimed to be this machine: it is held, its boot is over, and neither gets anything."""

    machine: MachineName
    nonce: Nonce | None
    why: str
    client: IPv4Address
    record: Literal["identity-disputed"] = "identity-disputed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmProven:
    """The TPM with this endorsement key (SHA-256, hex) has opened what was sealed for it, for the agent of this key:
    rung L2. `ak` is the name of its attestation key in this boot, `pcrs` what it says was measured, as hex.
    `issuer`: of the maker's certificate of its endorsement key, which nobody has checked; empty without one."""

    machine: MachineName
    nonce: Nonce
    key: str
    ek: str
    ak: str
    issuer: str = ""
    pcrs: tuple[str, ...] = ()
    record: Literal["tpm-proven"] = "tpm-proven"


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmLacking:
    """The agent has no TPM to show, or what it showed proves nothing. It stays on its rung."""

    machine: MachineName
    nonce: Nonce
    why: str
    record: Literal["tpm-lacking"] = "tpm-lacking"


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmDisputed:
    """The machine has shown the TPM of another, or another than before: it is held, and its boot is over."""

    machine: MachineName
    nonce: Nonce
    ek: str
    why: str
    client: IPv4Address
    record: Literal["tpm-disputed"] = "tpm-disputed"


TpmRecord = TpmProven | TpmLacking | TpmDisputed
IdentityRecord = TokenPlaced | AgentBound | IdentityConfirmed | CodeRefused | IdentityDisputed | TpmRecord
