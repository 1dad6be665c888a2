"""The TPM codec against answers that no TPM gives, and the words about it against what no agent says."""

import json
import struct
from collections.abc import Callable

import pytest

from images.agent import tpm_packet as packet
from images.agent import tpm_words as words
from images.agent.errors import ProtocolError, TpmError
from images.agent.tpm_chip import Chip
from images.agent.tpm_packet import Hierarchy, RefusalError
from images.agent.tpm_structures import Template, name_of, parse_quote, parse_signature, selection, sized
from tests.soft_tpm import SoftTpm

TPM = SoftTpm("unit")
KEYS = TPM.keys()
MEASURED = TPM.measured(b"q" * 32)
assert MEASURED is not None
QUOTE, SIGNATURE = MEASURED.quote, MEASURED.signature


def answer(body: bytes = b"", *, code: int = 0, tag: int = 0x8001, size: int | None = None) -> bytes:
    return struct.pack(">HII", tag, 10 + len(body) if size is None else size, code) + body


def with_sessions(parameters: bytes, *, handle: bytes = b"", said: int | None = None) -> bytes:
    size = struct.pack(">I", len(parameters) if said is None else said)
    return answer(handle + size + parameters + b"\0\0\1\0\0", tag=0x8002)


def test_commands_as_bytes() -> None:
    assert packet.pcr_read().hex() == "8001000000140000017e00000001000b03ff0000"
    assert packet.flush(0x03000000).hex() == "80010000000e0000016503000000"
    made = packet.create_primary(Hierarchy.ENDORSEMENT, Template.EK_ECC.public())
    assert made[:14].hex() == f"8002{len(made):08x}000001314000000b"
    assert made[14:27].hex() == "00000009" + "40000009" + "0000000000"


@pytest.mark.parametrize(
    ("template", "size", "name"),
    [
        (Template.EK_RSA, 314, "the profile's L-1"),
        (Template.EK_ECC, 122, "the profile's L-2"),
        (Template.AK, 88, "ours"),
    ],
)
def test_templates(template: Template, size: int, name: str) -> None:
    public = template.public()
    assert len(public) == size, name
    assert template.unique(public) == tuple(map(bytes, template.sizes))
    assert len(name_of(public)) == 34


@pytest.mark.parametrize(
    ("parse", "response"),
    [
        pytest.param(packet.parse_pcrs, b"", id="nothing"),
        pytest.param(packet.parse_pcrs, answer()[:9], id="half a header"),
        pytest.param(packet.parse_pcrs, answer(size=11), id="a size that is too large"),
        pytest.param(packet.parse_pcrs, answer(size=9), id="a size that is too small"),
        pytest.param(packet.parse_pcrs, answer(tag=0xC4), id="a TPM 1.2"),
        pytest.param(packet.parse_pcrs, answer(bytes(4) + selection()), id="no values"),
        pytest.param(packet.parse_pcrs, answer(bytes(4) + selection() + bytes(4)), id="no value at all"),
        pytest.param(packet.parse_pcrs, answer(bytes(4) + selection() + b"\0\0\0\x09"), id="nine values"),
        pytest.param(
            packet.parse_pcrs, answer(bytes(4) + selection() + b"\0\0\0\x08" + sized(bytes(48)) * 8), id="long values"
        ),
        pytest.param(
            packet.parse_pcrs,
            answer(bytes(4) + selection() + b"\0\0\0\x08" + sized(bytes(32)) * 8 + b"x"),
            id="more behind them",
        ),
        pytest.param(packet.parse_primary, answer(tag=0x8002), id="no handle"),
        pytest.param(packet.parse_primary, with_sessions(b"\xff\xff", handle=bytes(4)), id="a key that is cut off"),
        pytest.param(packet.parse_primary, with_sessions(b"", handle=bytes(4), said=99), id="parameters cut off"),
        pytest.param(packet.parse_session, answer(bytes(4) + sized(bytes(65))), id="a nonce that is too long"),
        pytest.param(packet.parse_session, answer(bytes(4) + sized(bytes(16)) + b"x"), id="more than a session"),
        pytest.param(packet.parse_secret, with_sessions(sized(bytes(65))), id="a secret that is too long"),
        pytest.param(packet.parse_secret, with_sessions(sized(b"s") + b"x"), id="more than a secret"),
        pytest.param(packet.parse_quoted, with_sessions(sized(b"q")), id="no signature"),
        pytest.param(packet.parse_nv_size, answer(sized(bytes(12))), id="no NV index"),
        pytest.param(packet.parse_nv_data, with_sessions(sized(b"data") + b"x"), id="more than data"),
    ],
)
def test_malformed_answers(parse: Callable[[bytes], object], response: bytes) -> None:
    with pytest.raises(TpmError) as told:
        parse(response)
    assert str(told.value)


def test_a_refusal_says_of_what() -> None:
    with pytest.raises(RefusalError, match="the TPM refuses quote") as told:
        packet.parse_quoted(answer(code=0x9A2))
    assert (told.value.code, told.value.evidence) == (0x9A2, "TPM_RC 0x9a2")


def test_no_bank_of_sha256_is_no_value() -> None:
    assert packet.parse_pcrs(answer(bytes(4) + struct.pack(">IHB", 1, 0x000B, 3) + bytes(3) + bytes(4))) == ()


@pytest.mark.parametrize(
    "public",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(KEYS.ak, id="another kind"),
        pytest.param(KEYS.ek[:-1], id="cut off"),
        pytest.param(KEYS.ek + b"x", id="more behind it"),
        pytest.param(Template.EK_ECC.head + sized(bytes(33)) + sized(bytes(32)), id="a coordinate too long"),
        pytest.param(KEYS.ek[:7] + b"\x73" + KEYS.ek[8:], id="other attributes"),
        pytest.param(KEYS.ek[:10] + b"\0" * 32 + KEYS.ek[42:], id="another policy"),
    ],
)
def test_keys_that_are_none(public: bytes) -> None:
    with pytest.raises(TpmError):
        Template.EK_ECC.unique(public)


@pytest.mark.parametrize(
    "quote",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(QUOTE[:-1], id="cut off"),
        pytest.param(QUOTE + b"x", id="more behind it"),
        pytest.param(b"\xffTCG\x80\x17" + QUOTE[6:], id="a certificate of a key"),
        pytest.param(b"TCG\xff" + QUOTE[4:], id="made by somebody else"),
        pytest.param(QUOTE.replace(selection(), selection()[:-3] + b"\x7f\0\0"), id="without PCR 7"),
        pytest.param(QUOTE.replace(selection(), struct.pack(">IHB", 1, 4, 3) + b"\xff\0\0"), id="of SHA-1"),
    ],
)
def test_quotes_that_are_none(quote: bytes) -> None:
    assert parse_quote(QUOTE).qualifying == b"q" * 32
    with pytest.raises(TpmError):
        parse_quote(quote)


@pytest.mark.parametrize(
    "signature",
    [b"", SIGNATURE[:-1], SIGNATURE + b"x", b"\0\x14" + SIGNATURE[2:], SIGNATURE[:4] + sized(bytes(33)) * 2],
    ids=["empty", "cut off", "too long", "another scheme", "another size"],
)
def test_signatures_that_are_none(signature: bytes) -> None:
    assert parse_signature(SIGNATURE) > (0, 0)
    with pytest.raises(TpmError):
        parse_signature(signature)


class Answers:
    """A TPM that says these, one after the other, and how often it was waited for."""

    def __init__(self, *said: bytes) -> None:
        self._said, self.pauses = list(said), 0

    def transact(self, command: bytes) -> bytes:
        return self._said.pop(0) if len(self._said) > 1 else self._said[0]

    def pause(self, seconds: float) -> None:
        self.pauses += 1


def test_a_tpm_that_tests_itself_is_waited_for() -> None:
    values = answer(bytes(4) + struct.pack(">IHB", 1, 0x000B, 3) + bytes(3) + bytes(4))
    tpm = Answers(answer(code=0x90A), answer(code=0x922), answer(code=0x908), values)
    assert Chip(tpm.transact, tpm.pause, bytes).measured(b"q") is None
    assert tpm.pauses == 3


def test_a_tpm_that_is_always_busy_is_given_up() -> None:
    tpm = Answers(answer(code=0x922))
    with pytest.raises(TpmError, match="busy with something else"):
        Chip(tpm.transact, tpm.pause, bytes).keys()
    assert tpm.pauses == 50


def test_nothing_is_opened_before_there_are_keys() -> None:
    with pytest.raises(TpmError, match="not asked for its keys"):
        Chip(lambda _: b"", lambda _: None, bytes).activate(b"", b"")


SHOWN = {"ek": "00", "ak": "01", "certificate": "", "lacks": ""}
PROOF = {"opened": "a" * 64, "quote": "", "signature": "", "pcrs": []}


@pytest.mark.parametrize(
    ("parse", "said"),
    [
        (words.parse_shown, b""),
        (words.parse_shown, b"[]"),
        (words.parse_shown, {**SHOWN, "ek": "0"}),
        (words.parse_shown, {**SHOWN, "ek": "zz"}),
        (words.parse_shown, {**SHOWN, "ek": "AA"}),
        (words.parse_shown, {**SHOWN, "ek": "00" * 513}),
        (words.parse_shown, {**SHOWN, "certificate": "00" * 4097}),
        (words.parse_shown, {**SHOWN, "lacks": "x" * 1025}),
        (words.parse_shown, {**SHOWN, "more": ""}),
        (words.parse_shown, {"ek": "00"}),
        (words.parse_challenge, {"blob": "00" * 513, "seed": ""}),
        (words.parse_challenge, {"blob": 1, "seed": ""}),
        (words.parse_proof, {**PROOF, "opened": "a" * 63}),
        (words.parse_proof, {**PROOF, "opened": ""}),
        (words.parse_proof, {**PROOF, "quote": "00" * 1025}),
        (words.parse_proof, {**PROOF, "pcrs": ["00" * 32] * 7}),
        (words.parse_proof, {**PROOF, "pcrs": ["00" * 32] * 9}),
        (words.parse_proof, {**PROOF, "pcrs": ["00" * 20] * 8}),
        (words.parse_proof, {**PROOF, "pcrs": [[]]}),
    ],
)
def test_words_that_are_none(parse: Callable[[bytes], object], said: object) -> None:
    with pytest.raises(ProtocolError):
        parse(said if isinstance(said, bytes) else json.dumps(said).encode())
