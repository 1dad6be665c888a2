"""Recorded reports of four makes -> the facts that they must give; and what must be refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import AgentError
from appliance.inventory.facts import parse_facts
from appliance.model.codec import to_json
from appliance.model.hardware import Firmware

GOLDEN = Path(__file__).parents[3] / "golden/facts"
MACHINES = sorted(path.name for path in GOLDEN.iterdir())

Report = dict[str, object]


def report_of(machine: str) -> Report:
    report: Report = json.loads((GOLDEN / machine / "report.json").read_text())
    return {**report, "dmidecode": (GOLDEN / machine / "dmidecode.txt").read_text()}


def encode(report: Report) -> bytes:
    return json.dumps(report).encode()


@pytest.mark.parametrize("machine", MACHINES)
def test_recorded_reports(machine: str) -> None:
    facts = parse_facts(encode(report_of(machine)), firmware=Firmware.UEFI)
    assert json.loads(to_json(facts)) == json.loads((GOLDEN / machine / "facts.json").read_text())


def test_firmware_comes_from_the_hello() -> None:
    assert parse_facts(encode(report_of("qemu")), firmware=Firmware.BIOS).firmware is Firmware.BIOS


def test_tools_that_failed_leave_gaps() -> None:
    report = {**report_of("qemu"), "dmidecode": "", "ip": None, "errors": {"dmidecode": "not found"}}
    facts = parse_facts(encode(report), firmware=Firmware.BIOS)
    assert (facts.uuid, facts.serial, facts.nics[0].addresses) == (None, "", ())
    assert facts.gaps == ("dmidecode: not found",)


def test_escape_sequences_do_not_survive() -> None:
    report = report_of("qemu")
    report["dmidecode"] = str(report["dmidecode"]).replace("SN0001", "SN\x1b[2J\x1b]0;owned\x07\u202e0001")
    assert parse_facts(encode(report), firmware=Firmware.BIOS).serial == "SN0001"


def test_neighbour_is_not_guessed_among_linked_nics() -> None:
    report = report_of("dell-r640")
    nics = report["nics"]
    assert isinstance(nics, list)
    report["nics"] = [{**nic, "carrier": True} for nic in nics]
    assert [n.nic for n in parse_facts(encode(report), firmware=Firmware.UEFI).neighbours] == [""]


def test_the_nic_that_heard_a_neighbour_is_known() -> None:
    """One that the report does not list is nobody's; an agent that says fewer names than frames is not believed."""
    report = report_of("dell-r640")
    nics, frames = report["nics"], report["lldp"]
    assert isinstance(nics, list)
    assert isinstance(frames, list)
    report["nics"] = [{**nic, "carrier": True} for nic in nics]
    name = str(nics[1]["name"])

    def heard_by(*names: str) -> list[str]:
        told = {**report, "lldp": [frames[0]] * 2, "lldp_nics": list(names)}
        return [n.nic for n in parse_facts(encode(told), firmware=Firmware.UEFI).neighbours]

    assert heard_by(name, name) == [name]
    assert heard_by(name, str(nics[0]["name"])) == [name, str(nics[0]["name"])]
    assert heard_by(name, "bond7") == [name, ""]
    assert heard_by(name) == [""]


def spoil(key: str, value: object) -> Callable[[Report], Report]:
    return lambda report: {**report, key: value}


def spoil_first(key: str, field: str, value: object) -> Callable[[Report], Report]:
    def spoiled(report: Report) -> Report:
        rows = report[key]
        assert isinstance(rows, list)
        return {**report, key: [{**rows[0], field: value}, *rows[1:]]}

    return spoiled


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (spoil("disks", "none"), "disks"),
        (spoil("memory_bytes", -1), "memory_bytes"),
        (spoil_first("disks", "size_bytes", 0), "size"),
        (spoil_first("disks", "size_bytes", 1 << 62), "size"),
        (spoil_first("disks", "name", "sdb"), "same name"),
        (spoil_first("nics", "mac", "not a mac"), "network interface"),
        (spoil("ip", [{"ifname": "eno1", "addr_info": [{"family": "inet", "local": "10.0.0.256"}]}]), "interface"),
        (spoil("ip", [{"ifname": "eno1", "addr_info": [{"family": "inet", "local": 7}]}]), "interface"),
        (spoil("dmidecode", "Handle 0x1, DMI type 1, 27 bytes\n\tUUID: soon"), "UUID"),
    ],
)
def test_nonsense_is_refused(spoiled: Callable[[Report], Report], message: str) -> None:
    with pytest.raises(AgentError, match=message) as caught:
        parse_facts(encode(spoiled(report_of("dell-r640"))), firmware=Firmware.UEFI)
    assert caught.value.evidence
    assert caught.value.next_action


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps).map(str.encode)
)
def test_any_bytes_are_facts_or_an_agent_error(data: bytes) -> None:
    with pytest.raises(AgentError):
        parse_facts(data, firmware=Firmware.UEFI)
