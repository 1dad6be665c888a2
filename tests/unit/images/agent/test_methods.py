"""Which ways a disk is asked to forget, in which order: never one that reaches past the named disk."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.agent.errors import ProtocolError
from images.agent.methods import Ability, Controller, Method, methods, parse_discard_max, sanitization
from images.agent.protocol import WipeLevel

NVME = Controller(serial="S", formats=True, format_is_shared=False, block_erases=True)
SSD = Ability(discards=True, controller=NVME, alone=True)
ANY_DISK = (Method.WRITE_ZEROES, Method.OVERWRITE)

ERASES = [
    ("says nothing", Ability(), ANY_DISK),
    ("discards", Ability(discards=True), (Method.DISCARD, *ANY_DISK)),
    ("MMC", Ability(discards=True, secure_discards=True), (Method.SECURE_DISCARD, Method.DISCARD, *ANY_DISK)),
    ("MMC without discard", Ability(secure_discards=True), ANY_DISK),
    ("NVMe, all of it", SSD, (Method.SANITIZE, Method.FORMAT, Method.DISCARD, *ANY_DISK)),
    ("NVMe, two namespaces", replace(SSD, alone=False), (Method.FORMAT, Method.DISCARD, *ANY_DISK)),
    (
        "NVMe, two namespaces, one format for both",
        replace(SSD, alone=False, controller=replace(NVME, format_is_shared=True)),
        (Method.DISCARD, *ANY_DISK),
    ),
    (
        "NVMe, one namespace, one format for all",
        replace(SSD, controller=replace(NVME, format_is_shared=True)),
        (Method.SANITIZE, Method.FORMAT, Method.DISCARD, *ANY_DISK),
    ),
    (
        "NVMe that can do neither",
        replace(SSD, controller=replace(NVME, formats=False, block_erases=False)),
        (Method.DISCARD, *ANY_DISK),
    ),
]


@pytest.mark.parametrize(("ability", "expected"), [case[1:] for case in ERASES], ids=[case[0] for case in ERASES])
def test_order_of_an_erase(ability, expected):
    assert methods(WipeLevel.ERASE, ability) == expected


@pytest.mark.parametrize("ability", [SSD, Ability(discards=True, secure_discards=True)])
def test_discard_never_asks_for_a_command_that_takes_hours(ability):
    assert methods(WipeLevel.DISCARD, ability) == (Method.DISCARD, *ANY_DISK)


CONTROLLERS = st.builds(
    Controller,
    serial=st.just("S"),
    formats=st.booleans(),
    format_is_shared=st.booleans(),
    block_erases=st.booleans(),
)
ABILITIES = st.builds(
    Ability,
    discards=st.booleans(),
    secure_discards=st.booleans(),
    controller=st.none() | CONTROLLERS,
    alone=st.booleans(),
)


@given(st.sampled_from(WipeLevel), ABILITIES)
def test_neighbours_are_safe_and_overwriting_is_the_last_resort(level, ability):
    chosen = methods(level, ability)
    assert chosen[-1] is Method.OVERWRITE
    assert len(set(chosen)) == len(chosen)
    if not ability.alone:
        assert Method.SANITIZE not in chosen
        assert Method.FORMAT not in chosen or not ability.controller.format_is_shared


@pytest.mark.parametrize(
    ("level", "method", "word"),
    [
        (WipeLevel.ERASE, Method.SANITIZE, "purge"),
        (WipeLevel.ERASE, Method.FORMAT, "purge"),
        (WipeLevel.ERASE, Method.SECURE_DISCARD, "clear"),
        (WipeLevel.ERASE, Method.OVERWRITE, "clear"),
        (WipeLevel.DISCARD, Method.OVERWRITE, "none"),
    ],
)
def test_word_for_the_certificate(level, method, word):
    assert sanitization(level, method) == word


def test_discard_limit_as_lsblk_says_it(golden):
    assert parse_discard_max(golden("lsblk-disc-max.json")) == 2147483136


@pytest.mark.parametrize(
    "output",
    [b"", b"lsblk: not a block device", b'{"blockdevices":[]}', b'{"blockdevices":[{"disc-max":null}]}'],
)
def test_no_word_of_lsblk_is_no_discard(output):
    with pytest.raises(ProtocolError):
        parse_discard_max(output)


@given(st.binary(max_size=100))
def test_discard_limit_is_total(output):
    with suppress(ProtocolError):
        parse_discard_max(output)
