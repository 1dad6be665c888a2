"""Who the BMC and the machine are: Get Device ID, GUID, FRU inventory, users (IPMI 2.0 sections 20, 22, 34). Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import RFC_4122, UUID

from appliance.bmc.codec.text import clean
from appliance.bmc.ipmi.packet import Request
from appliance.errors import BmcError
from appliance.model.bmc import FirmwareItem

_APP, _STORAGE = 0x06, 0x0A
DEVICE_ID = Request(netfn=_APP, command=0x01, data=b"")
COLD_RESET = Request(netfn=_APP, command=0x02, data=b"")
GUID = Request(netfn=_APP, command=0x37, data=b"")
FRU_AREA = Request(netfn=_STORAGE, command=0x10, data=b"\0")
FRU_CHUNK = 16
MAX_FRU = 4096
MAX_USERS = 63
_PASSWORD_BYTES = 20
_LAN_CHANNEL = 0x0E  # the channel that the request comes by


def firmware(answer: bytes) -> FirmwareItem:
    """Table 20-2: major in binary, minor in BCD."""
    if len(answer) < 5:
        raise BmcError("the BMC sent a broken device id", evidence=answer.hex(), next_action="update its firmware")
    version = f"{answer[2] & 0x7F}.{answer[3]:02x}"
    return FirmwareItem(id="bmc", name="Management controller", version=version, updateable=False)


def uuid_of(answer: bytes) -> UUID | None:
    """The system's UUID in the order in which SMBIOS tools print it.

    The specification wants the bytes of RFC 4122 reversed (section 20.8); most BMCs copy the SMBIOS table instead,
    whose first three fields are little-endian, and some copy RFC 4122 as it is. Which it is shows in the version and
    variant of the result; where none is valid, as with Dell's, which hold the service tag, it is SMBIOS order.
    """
    if len(answer) != 16 or not any(answer) or answer == b"\xff" * 16:
        return None
    orders = (UUID(bytes_le=answer), UUID(bytes=answer), UUID(bytes=answer[::-1]))
    return next((uuid for uuid in orders if uuid.variant == RFC_4122 and uuid.version in range(1, 6)), orders[0])


def fru_size(answer: bytes) -> int:
    if len(answer) < 2:
        raise BmcError("the BMC sent a broken FRU size", evidence=answer.hex(), next_action="update its firmware")
    return min(int.from_bytes(answer[:2], "little"), MAX_FRU)


def read_fru(offset: int, count: int) -> Request:
    return Request(netfn=_STORAGE, command=0x11, data=b"\0" + offset.to_bytes(2, "little") + bytes((count,)))


def fru_chunk(answer: bytes) -> bytes:
    return answer[1 : 1 + answer[0]] if answer else b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fru:
    """Of the product area, or of the board's where that says nothing."""

    manufacturer: str
    product: str
    serial: str


def fru_of(area: bytes) -> Fru:
    """Platform Management FRU Information Storage Definition 1.0, sections 8, 11 and 12. Broken areas read as empty."""
    board = list(_fields(area, 3, 6)) if len(area) >= 8 else []
    product = list(_fields(area, 4, 3)) if len(area) >= 8 else []
    board += [""] * (3 - len(board))
    product += [""] * (5 - len(product))
    return Fru(
        manufacturer=product[0] or board[0],
        product=product[1] or board[1],
        serial=product[4] or board[2],
    )


def _fields(area: bytes, pointer: int, first: int) -> Iterator[str]:
    """`pointer` is the place of the area's offset in the common header, `first` that of its first field."""
    start = area[pointer] * 8
    if not start or start + first > len(area):
        return
    end, at = min(start + area[start + 1] * 8, len(area)), start + first
    while at < end and area[at] != 0xC1:
        kind, size = area[at] >> 6, area[at] & 0x3F
        yield clean(_text(kind, area[at + 1 : at + 1 + size]))
        at += 1 + size


def _text(kind: int, data: bytes) -> str:
    """Section 13: binary, BCD plus, 6-bit ASCII, 8-bit ASCII."""
    match kind:
        case 3:
            return data.decode("latin-1")
        case 2:
            bits = int.from_bytes(data, "little")
            return "".join(chr((bits >> 6 * n & 0x3F) + 0x20) for n in range(len(data) * 8 // 6))
        case 1:
            return data.hex().translate(str.maketrans("abc", " -.", "def"))
        case _:
            return data.hex()


def user_access(user: int) -> Request:
    return Request(netfn=_APP, command=0x44, data=bytes((_LAN_CHANNEL, user)))


def user_count(answer: bytes) -> int:
    return min(answer[0] & 0x3F, MAX_USERS) if answer else 0


def user_name(user: int) -> Request:
    return Request(netfn=_APP, command=0x46, data=bytes((user,)))


def set_password(user: int, password: bytes) -> Request:
    """Section 22.30, in the format of 20 bytes that RMCP+ uses."""
    return Request(netfn=_APP, command=0x47, data=bytes((0x80 | user, 2)) + password.ljust(_PASSWORD_BYTES, b"\0"))
