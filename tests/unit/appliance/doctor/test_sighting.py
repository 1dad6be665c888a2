"""What the observer prints is hostile text: it is a sighting or an error of ours, and nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.doctor.sighting import LINE_LIMIT, Neighbour, Offer, parse
from appliance.errors import MachineryError

MAC = "02:00:00:00:00:01"
LEAF = {"kind": "neighbour", "mac": MAC, "chassis": MAC, "port": "Ethernet7", "vlans": [20]}


def test_a_neighbour() -> None:
    assert parse(json.dumps(LEAF).encode()) == Neighbour(mac=MAC, chassis=MAC, port="Ethernet7", vlans=(20,))


def test_text_is_cleaned() -> None:
    sighting = parse(json.dumps({**LEAF, "port": "\x1b[31mEth\n7\u202e"}).encode())
    assert isinstance(sighting, Neighbour)
    assert sighting.port == "Eth 7"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 5000,
        b'{"kind": "neighbour"}',
        json.dumps({**LEAF, "kind": "other"}).encode(),
        json.dumps({**LEAF, "more": 1}).encode(),
        json.dumps({**LEAF, "mac": "02:00"}).encode(),
        json.dumps({**LEAF, "port": 7}).encode(),
        json.dumps({**LEAF, "port": "x" * 1025}).encode(),
        json.dumps({**LEAF, "vlan": 4096}).encode(),
        json.dumps({**LEAF, "vlan": "20"}).encode(),
        json.dumps({**LEAF, "vlans": [1] * 129}).encode(),
        json.dumps({"kind": "offer", "server": "10.0.0.9; reboot", "mac": MAC, "address": "10.0.0.1"}).encode(),
        json.dumps({"kind": "fetched", "sha256": "AB" * 32, "size": -1}).encode(),
        json.dumps({**LEAF, "port": "x" * LINE_LIMIT}).encode(),
    ],
)
def test_what_makes_no_sense_is_an_error(line: bytes) -> None:
    with pytest.raises(MachineryError) as caught:
        parse(line)
    assert caught.value.evidence.isprintable()


@given(st.binary(max_size=200))
def test_rubbish_is_an_error(line: bytes) -> None:
    with pytest.raises(MachineryError):
        parse(line)


@given(
    st.dictionaries(
        st.sampled_from(["kind", "mac", "server", "address", "vendor", "extra"]),
        st.one_of(st.text(max_size=30), st.integers(), st.just("offer"), st.just(MAC), st.just("10.0.0.1")),
    )
)
def test_almost_an_offer_is_one_or_an_error(fields: dict[str, object]) -> None:
    try:
        sighting = parse(json.dumps(fields).encode())
    except MachineryError:
        return
    assert isinstance(sighting, Offer) or "device" in fields or "problem" in fields
