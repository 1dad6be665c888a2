from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import PlanError
from appliance.model.hardware import Disk, Firmware, HardwareFacts
from appliance.roles.disk import (
    DiskBySerial,
    DiskByWwn,
    DiskKind,
    DiskPolicy,
    Overwrite,
    SmallestDisk,
    Tie,
    choose_disk,
)

GB = 10**9
IMAGE = 1 * GB


def disk(
    name: str,
    gigabytes: int = 100,
    *,
    serial: str | None = None,
    wwn: str = "",
    contents: str = "blank",
    rotational: bool = False,
    removable: bool = False,
) -> Disk:
    return Disk(
        name=name,
        serial=f"S-{name}" if serial is None else serial,
        wwn=wwn,
        size_bytes=gigabytes * GB,
        model="",
        rotational=rotational,
        removable=removable,
        contents=contents,
    )


def facts(*disks: Disk) -> HardwareFacts:
    return HardwareFacts(
        uuid=None,
        serial="",
        manufacturer="",
        product="",
        firmware=Firmware.UEFI,
        cpu_model="",
        cores=1,
        memory_bytes=1,
        disks=disks,
        nics=(),
    )


@pytest.mark.parametrize(
    ("disks", "policy", "chosen"),
    [
        ((disk("sda", 200), disk("sdb", 100)), SmallestDisk(), "sdb"),
        ((disk("sda", 200), disk("sdb", 100)), SmallestDisk(minimum_bytes=150 * GB), "sda"),
        ((disk("sda", rotational=True), disk("sdb")), SmallestDisk(), "sdb"),
        ((disk("sdb"), disk("sda")), SmallestDisk(), "sda"),
        ((disk("sda", 50, removable=True), disk("sdb")), SmallestDisk(), "sdb"),
        ((disk("sda", 50, serial=""), disk("sdb", serial="", wwn="naa.5")), SmallestDisk(), "sdb"),
        ((disk("sda", 50, contents="gpt:1"), disk("sdb")), SmallestDisk(), "sdb"),
        ((disk("sda", 50, serial="X"), disk("sdb", 60, serial="X"), disk("sdc")), SmallestDisk(), "sdc"),
        ((disk("sda"), disk("sdb")), DiskBySerial("S-sdb"), "sdb"),
        ((disk("sda", wwn="naa.5"), disk("sdb", wwn="naa.6")), DiskByWwn("naa.6"), "sdb"),
    ],
)
def test_choices(disks: tuple[Disk, ...], policy: DiskPolicy, chosen: str) -> None:
    assert choose_disk(facts(*disks), policy, IMAGE).name == chosen
    assert choose_disk(facts(*reversed(disks)), policy, IMAGE).name == chosen


@pytest.mark.parametrize(
    ("disks", "policy", "evidence", "next_action"),
    [
        ((), SmallestDisk(), "no disk was seen", "put a disk in"),
        ((disk("sda", removable=True),), SmallestDisk(), "sda: S-sda (100.0 GB): removable", "S-sda"),
        ((disk("sda", serial=""),), SmallestDisk(), "neither serial number nor WWN", "put a disk in"),
        ((disk("sda", 0),), SmallestDisk(), "too small, 1.0 GB are needed", "a larger disk"),
        ((disk("sda", contents="ext:77"),), SmallestDisk(), "not blank, it holds ext:77", "Overwrite.ANYTHING"),
        ((disk("sda", contents=""),), SmallestDisk(), "it holds something unknown", "Overwrite.ANYTHING"),
        ((disk("sda"), disk("sdb")), DiskBySerial("S-sdz"), "another serial number", "WWN (S-sda, S-sdb)"),
        ((disk("sda", serial=""),), DiskBySerial(""), "another serial number", "put a disk in"),
        ((disk("sda", wwn="naa.5"),), DiskByWwn("naa.6"), "another WWN", "S-sda"),
        (
            (disk("sda", wwn="n1", serial="X"), disk("sdb", wwn="n2", serial="X")),
            DiskBySerial("X"),
            "not the only",
            "WWN",
        ),
        ((disk("sda", serial="X", contents="gpt:1"), disk("sdb", wwn="n", serial="X")), DiskBySerial("X"), "not", "X"),
        ((disk("sda", serial="X"), disk("sdb", wwn="n", serial="X", removable=True)), SmallestDisk(), "answers", "X"),
        ((disk("sda", 0),), DiskBySerial("S-sda"), "too small", "a larger disk"),
        ((disk("sda", contents="unreadable"),), DiskBySerial("S-sda"), "it cannot be read", "S-sda"),
    ],
)
def test_refusals(disks: tuple[Disk, ...], policy: DiskPolicy, evidence: str, next_action: str) -> None:
    with pytest.raises(PlanError) as caught:
        choose_disk(facts(*disks), policy, IMAGE)
    assert evidence in caught.value.evidence
    assert next_action in caught.value.next_action


def test_anything_may_be_overwritten_when_said_so() -> None:
    here = facts(disk("sda", contents="ext:77"))
    assert choose_disk(here, DiskBySerial("S-sda"), IMAGE, Overwrite.ANYTHING).name == "sda"


TWINS = (disk("sda", serial="B"), disk("sdb", serial="A"))
HALF_USED = (disk("sda", serial="B"), disk("sdb", serial="A", contents="gpt:1"))
LARGER = disk("sdc", 200, serial="0", contents="gpt:2")


@pytest.mark.parametrize(
    ("disks", "tie", "overwrite", "chosen"),
    [
        (TWINS, Tie.SERIAL_IF_BLANK, Overwrite.BLANK_ONLY, "A"),
        (TWINS, Tie.SERIAL_IF_BLANK, Overwrite.ANYTHING, "A"),
        (TWINS, Tie.SERIAL, Overwrite.BLANK_ONLY, "A"),
        (TWINS, Tie.ASK, Overwrite.BLANK_ONLY, None),
        (HALF_USED, Tie.SERIAL_IF_BLANK, Overwrite.BLANK_ONLY, "B"),
        (HALF_USED, Tie.ASK, Overwrite.BLANK_ONLY, "B"),
        (HALF_USED, Tie.SERIAL_IF_BLANK, Overwrite.ANYTHING, None),
        (HALF_USED, Tie.SERIAL, Overwrite.ANYTHING, "A"),
        ((*TWINS, LARGER), Tie.SERIAL_IF_BLANK, Overwrite.ANYTHING, "A"),
        ((disk("sda", serial="B", rotational=True), disk("sdb", serial="A")), Tie.ASK, Overwrite.ANYTHING, "A"),
    ],
)
def test_twins(disks: tuple[Disk, ...], tie: Tie, overwrite: Overwrite, chosen: str | None) -> None:
    for order in (disks, disks[::-1]):
        if chosen is not None:
            assert choose_disk(facts(*order), SmallestDisk(tie=tie), IMAGE, overwrite).serial == chosen
            continue
        with pytest.raises(PlanError, match="2 disks fit equally under the policy: smallest disk") as caught:
            choose_disk(facts(*order), SmallestDisk(tie=tie), IMAGE, overwrite)
        assert caught.value.evidence.splitlines()[1] == "sda: B (100.0 GB): blank"
        assert "(A, B)" in caught.value.next_action
        assert "Tie.SERIAL" in caught.value.next_action


def test_an_ssd_may_be_demanded() -> None:
    rotating = disk("sda", 50, rotational=True)
    assert choose_disk(facts(rotating, disk("sdb")), SmallestDisk(kind=DiskKind.SSD), IMAGE).name == "sdb"
    with pytest.raises(PlanError, match=r"smallest SSD of at least 0\.1 GB") as caught:
        choose_disk(facts(rotating), SmallestDisk(kind=DiskKind.SSD, minimum_bytes=GB // 10), IMAGE)
    assert "it rotates" in caught.value.evidence


def test_gaps_in_the_facts_are_shown() -> None:
    with pytest.raises(PlanError) as caught:
        choose_disk(replace(facts(), gaps=("disks: timed out",)), SmallestDisk(), IMAGE)
    assert "disks: timed out" in caught.value.evidence


DISKS = st.builds(
    disk,
    st.sampled_from(["sda", "sdb", "sdc"]),
    st.integers(0, 3),
    serial=st.sampled_from(["", "X", "Y"]),
    wwn=st.sampled_from(["", "naa.5"]),
    contents=st.sampled_from(["blank", "gpt:1"]),
    removable=st.booleans(),
)


@given(st.lists(DISKS, max_size=4, unique_by=lambda d: d.name))
def test_a_chosen_disk_is_fit_and_unmistakable(disks: list[Disk]) -> None:
    try:
        chosen = choose_disk(facts(*disks), SmallestDisk(), IMAGE)
    except PlanError as error:
        assert error.evidence  # noqa: PT017  either outcome is right
        return
    assert chosen.contents == "blank"
    assert not chosen.removable
    assert chosen.size_bytes >= IMAGE
    assert [(d.serial, d.wwn) for d in disks].count((chosen.serial, chosen.wwn)) == 1
