"""Commands for a TPM 2.0 and its answers, as bytes. Pure.

TPM 2.0 Library, Part 1 section 18 (frames, authorizations) and Part 3 (commands, by the names used here).
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

from .errors import TpmError
from .tpm_structures import NULL, PCRS, SHA256, Reader, selection, sized

MAX_RESPONSE = 4096
_NO_SESSIONS, _SESSIONS = 0x8001, 0x8002
_HEADER = 10
_PASSWORD = 0x40000009
_POLICY = 0x01
_BUFFER = 2048
PASSING = frozenset({0x908, 0x90A, 0x922})
"""TPM_RC_YIELDED, TPM_RC_TESTING, TPM_RC_RETRY: the same command may be sent again."""


class Hierarchy(IntEnum):
    NULL = 0x40000007
    ENDORSEMENT = 0x4000000B


class Command(IntEnum):
    CREATE_PRIMARY = 0x131
    ACTIVATE_CREDENTIAL = 0x147
    NV_READ = 0x14E
    POLICY_SECRET = 0x151
    QUOTE = 0x158
    FLUSH_CONTEXT = 0x165
    NV_READ_PUBLIC = 0x169
    START_AUTH_SESSION = 0x176
    PCR_READ = 0x17E


class RefusalError(TpmError):
    """The TPM answered with `code` (Part 2, section 6.6)."""

    def __init__(self, command: Command, code: int) -> None:
        super().__init__(f"the TPM refuses {command.name.lower()}", evidence=f"TPM_RC {code:#05x}")
        self.code = code


def _auth(session: int = _PASSWORD) -> bytes:
    """An empty password; or a policy session without a key, whose HMAC is empty, too (Part 1, section 19.6.13)."""
    return struct.pack(">IHBH", session, 0, 0, 0)


def _framed(command: Command, handles: tuple[int, ...], parameters: bytes, *auths: bytes) -> bytes:
    area = struct.pack(">I", sum(map(len, auths))) + b"".join(auths) if auths else b""
    body = struct.pack(f">{len(handles)}I", *handles) + area + parameters
    return struct.pack(">HII", _SESSIONS if auths else _NO_SESSIONS, _HEADER + len(body), command) + body


def create_primary(hierarchy: Hierarchy, template: bytes) -> bytes:
    """`template` is a TPMT_PUBLIC; the same one makes the same key for as long as the hierarchy's seed is the same."""
    sensitive, outside, pcrs = sized(sized(b"") * 2), sized(b""), bytes(4)
    return _framed(Command.CREATE_PRIMARY, (hierarchy,), sensitive + sized(template) + outside + pcrs, _auth())


def start_policy(nonce: bytes) -> bytes:
    parameters = sized(nonce) + sized(b"") + struct.pack(">BHH", _POLICY, NULL, SHA256)
    return _framed(Command.START_AUTH_SESSION, (Hierarchy.NULL, Hierarchy.NULL), parameters)


def policy_secret(session: int) -> bytes:
    """That the endorsement hierarchy may be used; its password is empty where nobody has set one."""
    parameters = sized(b"") * 3 + bytes(4)
    return _framed(Command.POLICY_SECRET, (Hierarchy.ENDORSEMENT, session), parameters, _auth())


def activate_credential(ak: int, ek: int, session: int, blob: bytes, secret: bytes) -> bytes:
    """`blob` is a TPMS_ID_OBJECT, `secret` the seed that only this EK opens. The session is over when it
    succeeds."""
    parameters = sized(blob) + sized(secret)
    return _framed(Command.ACTIVATE_CREDENTIAL, (ak, ek), parameters, _auth(), _auth(session))


def flush(handle: int) -> bytes:
    return _framed(Command.FLUSH_CONTEXT, (), struct.pack(">I", handle))


def quote(ak: int, qualifying: bytes) -> bytes:
    """Over `PCRS`."""
    parameters = sized(qualifying) + struct.pack(">H", NULL) + selection()
    return _framed(Command.QUOTE, (ak,), parameters, _auth())


def pcr_read() -> bytes:
    return _framed(Command.PCR_READ, (), selection())


def nv_read_public(index: int) -> bytes:
    return _framed(Command.NV_READ_PUBLIC, (index,), b"")


def nv_read(index: int, size: int, offset: int) -> bytes:
    return _framed(Command.NV_READ, (index, index), struct.pack(">HH", size, offset), _auth())


def opened(command: Command, response: bytes, *, handles: int = 0) -> tuple[tuple[int, ...], Reader]:
    """The handles and the parameters of a response. Raises RefusalError, TpmError."""
    reader = Reader(response, f"answer to {command.name.lower()}")
    tag, size, code = reader.number(2), reader.number(4), reader.number(4)
    if size != len(response) or tag not in (_SESSIONS, _NO_SESSIONS):
        raise reader.bad("no whole answer")
    if code:
        raise RefusalError(command, code)
    found = tuple(reader.number(4) for _ in range(handles))
    if tag == _NO_SESSIONS:
        return found, reader
    return found, Reader(reader.take(reader.number(4)), f"answer to {command.name.lower()}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Primary:
    """A key that is loaded; `public` is its TPMT_PUBLIC."""

    handle: int
    public: bytes


def parse_primary(response: bytes) -> Primary:
    (handle,), reader = opened(Command.CREATE_PRIMARY, response, handles=1)
    return Primary(handle=handle, public=reader.sized(_BUFFER))


def parse_session(response: bytes) -> int:
    (handle,), reader = opened(Command.START_AUTH_SESSION, response, handles=1)
    reader.sized(64)
    reader.end()
    return handle


def parse_secret(response: bytes) -> bytes:
    """What a credential held."""
    _, reader = opened(Command.ACTIVATE_CREDENTIAL, response)
    secret = reader.sized(64)
    reader.end()
    return secret


def parse_quoted(response: bytes) -> tuple[bytes, bytes]:
    """TPMS_ATTEST and the TPMT_SIGNATURE over it."""
    _, reader = opened(Command.QUOTE, response)
    attest = reader.sized(_BUFFER)
    signature = reader.take(4) + sized(reader.sized(32)) + sized(reader.sized(32))
    reader.end()
    return attest, signature


def parse_pcrs(response: bytes) -> tuple[bytes, ...]:
    """The values of `PCRS`; none where the TPM has no SHA-256 bank."""
    _, reader = opened(Command.PCR_READ, response)
    reader.take(4)
    if reader.take(len(selection())) != selection():
        return ()
    if reader.number(4) != len(PCRS):
        raise reader.bad("not as many values as PCRs")
    values = tuple(reader.sized(32) for _ in PCRS)
    reader.end()
    return values


def parse_nv_size(response: bytes) -> int:
    _, reader = opened(Command.NV_READ_PUBLIC, response)
    public = Reader(reader.sized(256), "NV index")
    public.take(10)
    public.sized(64)
    return public.number(2)


def parse_nv_data(response: bytes) -> bytes:
    _, reader = opened(Command.NV_READ, response)
    data = reader.sized(_BUFFER)
    reader.end()
    return data
