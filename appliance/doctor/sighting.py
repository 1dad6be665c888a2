"""What the programs of `appliance.doctor.apart` print, a JSON object a line: text from a wire that anybody may use.

Strings are cleaned here, numbers have bounds, and whatever else is in a line makes it unreadable.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, with_config

from appliance.errors import MachineryError
from appliance.model.text import clean

LINE_LIMIT = 8192
_STRICT = ConfigDict(extra="forbid", strict=True)


def _cleaned(text: str) -> str:
    return clean(text, 255)


Text = Annotated[str, Field(max_length=1024), AfterValidator(_cleaned)]
Mac = Annotated[str, Field(pattern=r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")]
Address = Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$")]
Word = Annotated[int, Field(ge=0, le=0xFFFF)]
Vlan = Annotated[int, Field(ge=0, le=4095)]
Seconds = Annotated[float, Field(ge=0, le=256)]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """From now on nothing is missed."""

    kind: Literal["listening"] = "listening"
    device: Text


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Why nothing more comes."""

    kind: Literal["failed"] = "failed"
    problem: Text


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Bpdu:
    """A spanning tree BPDU (IEEE 802.1D-2004 clause 9). `version` 0: STP, 2: RSTP, 3: MSTP. `forward_delay` and `hello`
    are the tree's own, in seconds."""

    kind: Literal["bpdu"] = "bpdu"
    mac: Mac
    bridge: Mac
    port: Word
    version: Annotated[int, Field(ge=0, le=255)]
    hello: Seconds = 2.0
    forward_delay: Seconds = 15.0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Lacpdu:
    """A LACPDU (IEEE 802.1AX clause 6.4.2): the port wants to be one of a bond. `system` is the switch's."""

    kind: Literal["lacpdu"] = "lacpdu"
    mac: Mac
    system: Mac
    key: Word
    port: Word


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """An LLDP frame (IEEE 802.1AB). `max_frame` is the largest frame in bytes with header and checksum (802.3 annex
    79.3.4), `vlan` the port's untagged one (802.1Q annex D.2.1), 0 for none; None where it does not tell. `vlans` are
    those that it names."""

    kind: Literal["neighbour"] = "neighbour"
    mac: Mac
    chassis: Text
    port: Text
    system: Text = ""
    max_frame: Word | None = None
    vlan: Vlan | None = None
    vlans: Annotated[tuple[Vlan, ...], Field(max_length=128, strict=False)] = ()


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A DHCPOFFER to our question. `server` is its identifier, `mac` who sent the frame."""

    kind: Literal["offer"] = "offer"
    server: Address
    mac: Mac
    address: Address
    vendor: Text = ""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """All questions were sent, and answers waited for: without this word, no answer means nothing."""

    kind: Literal["asked"] = "asked"
    questions: Word


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A file by TFTP, whole."""

    kind: Literal["fetched"] = "fetched"
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0, le=1 << 40)]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """What a time server says (RFC 5905 section 7.3). `offset`: how many seconds it is ahead of ours, `delay` how long
    its answer took. Leap indicator 3, and stratum 0 and 16: it does not know the time itself."""

    kind: Literal["clock"] = "clock"
    name: Text
    stratum: Annotated[int, Field(ge=0, le=255)]
    leap: Annotated[int, Field(ge=0, le=3)]
    offset: Annotated[float, Field(ge=-1e11, le=1e11)]
    delay: Annotated[float, Field(ge=0, le=60)]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Mute:
    """A time server that said nothing usable."""

    kind: Literal["mute"] = "mute"
    name: Text
    problem: Text


Sighting = Listening | Failed | Bpdu | Lacpdu | Neighbour | Offer | Asked | Fetched | Clock | Mute

_LINE: TypeAdapter[Sighting] = TypeAdapter(Annotated[Sighting, Field(discriminator="kind")])


def parse(line: bytes) -> Sighting:
    """Raises `MachineryError`."""
    if len(line) > LINE_LIMIT:
        raise MachineryError("a line is too long", evidence=f"{len(line)} bytes")
    try:
        return _LINE.validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MachineryError("a line makes no sense", evidence=clean(f"{where}: {first['msg']}", 300)) from error
