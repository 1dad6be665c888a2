"""The TPM codec and the words about it: whatever comes, one error and no other; what was said is what is read."""

import os
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from appliance.identity.credential import endorsement_key, made_credential
from images.agent import tpm_packet as packet
from images.agent import tpm_words as words
from images.agent.errors import ProtocolError, TpmError
from images.agent.tpm_structures import PCRS, Template, name_of, parse_quote, parse_signature
from tests.soft_tpm import SoftTpm

TPM = SoftTpm("property")
KEYS = TPM.keys()
MEASURED = TPM.measured(b"q" * 32)
assert MEASURED is not None
PARSERS = (
    packet.parse_primary,
    packet.parse_session,
    packet.parse_secret,
    packet.parse_quoted,
    packet.parse_pcrs,
    packet.parse_nv_size,
    packet.parse_nv_data,
)
SEEDS = (MEASURED.quote, MEASURED.signature, KEYS.ek, KEYS.ak)


def changed(data: bytes, at: int, bit: int, cut: int) -> bytes:
    place = at % len(data)
    return (data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :])[: len(data) - cut]


@given(st.sampled_from(PARSERS), st.binary(max_size=200), st.sampled_from([0x8001, 0x8002]))
def test_answers(parse, body, tag):
    header = tag.to_bytes(2, "big") + (10 + len(body)).to_bytes(4, "big") + bytes(4)
    for data in (body, header + body):
        with suppress(TpmError):
            parse(data)


@given(st.sampled_from(SEEDS), st.integers(0, 400), st.integers(0, 7), st.integers(0, 3))
def test_structures(data, at, bit, cut):
    hostile = changed(data, at, bit, cut)
    for parse in (parse_quote, parse_signature, endorsement_key, Template.AK.unique):
        with suppress(TpmError):
            parse(hostile)


@given(st.binary(max_size=400), st.binary(max_size=300))
def test_words_are_read_as_they_were_said(one, other):
    shown = words.Shown(ek=one, ak=other, lacks="why")
    assert words.parse_shown(words.encode(shown)) == shown
    challenge = words.Challenge(blob=one, seed=other)
    assert words.parse_challenge(words.encode(challenge)) == challenge
    proof = words.Proof(opened="0" * 64, quote=one, signature=other, pcrs=(b"p" * 32,) * len(PCRS))
    assert words.parse_proof(words.encode(proof)) == proof


@given(st.binary(max_size=300))
def test_hostile_words(data):
    for parse in (words.parse_shown, words.parse_challenge, words.parse_proof):
        with suppress(ProtocolError):
            parse(data)


@given(st.binary(max_size=32), st.text(max_size=10))
def test_a_credential_holds_what_was_put_into_it_for_one_name(secret, boot):
    tpm = SoftTpm("property", boot=boot)
    made = made_credential(endorsement_key(KEYS.ek), name_of(tpm.keys().ak), secret, os.urandom)
    assert tpm.activate(made.blob, made.seed) == secret
    try:
        SoftTpm("property", boot=boot + "x").activate(made.blob, made.seed)
    except TpmError:
        return
    raise AssertionError("another attestation key opened it")
