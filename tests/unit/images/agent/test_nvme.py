"""What an NVMe controller says of itself, recorded from QEMU, and the bits that decide whom a command would reach."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.agent.errors import ProtocolError, TaskError
from images.agent.methods import Controller
from images.agent.nvme import (
    SanitizeState,
    count_namespaces,
    finish_sanitize,
    parse_controller,
    parse_sanitize_log,
    read_controller,
    sanitize,
)
from images.agent.ports import Finished

NN, OACS, FNA, SANICAP, CMIC = 516, 256, 524, 328, 76


def patched(raw: bytes, *changes: tuple[int, str, int]) -> bytes:
    data = bytearray(raw)
    for at, form, value in changes:
        struct.pack_into(form, data, at, value)
    return bytes(data)


class NvmeCli:
    """Answers by the first words of a command; an answer that is a list is used up, but for its last one."""

    def __init__(self, **answers: bytes | list[bytes]) -> None:
        self.answers = {name.replace("_", "-"): answer for name, answer in answers.items()}
        self.asked: list[tuple[str, ...]] = []

    def run(self, argv, *, timeout, stdin=b""):
        self.asked.append(tuple(argv))
        answer = self.answers.get(argv[1])
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if answer is None:
            return Finished(status=1, output=b"", errors=b"NVMe status: Invalid Field in Command")
        return Finished(status=0, output=answer, errors=b"")


def test_controller_of_qemu(golden):
    expected = Controller(serial="NVME1", formats=True, format_is_shared=False, block_erases=False)
    assert parse_controller(golden("nvme-id-ctrl.bin")) == expected


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ((OACS, "<H", 0), "formats", False),
        ((OACS, "<H", 0x2), "formats", True),
        ((FNA, "<B", 0x1), "format_is_shared", True),
        ((FNA, "<B", 0x2), "format_is_shared", True),
        ((FNA, "<B", 0x4), "format_is_shared", False),
        ((SANICAP, "<I", 0x1), "block_erases", False),
        ((SANICAP, "<I", 0x2), "block_erases", True),
    ],
)
def test_bits(golden, change, field, value):
    assert getattr(parse_controller(patched(golden("nvme-id-ctrl.bin"), change)), field) is value


def test_serial_that_is_no_text_is_cleaned(golden):
    raw = bytearray(golden("nvme-id-ctrl.bin"))
    raw[4:24] = b"\x1b[2J\0\xff S  1\n".ljust(20)
    assert parse_controller(bytes(raw)).serial == "[2J S 1"


ALONE = [
    ("one possible", ((NN, "<I", 1), (CMIC, "<B", 2)), "two", True, None),
    ("one of many, managed", (), "one", True, "--all"),
    ("two, managed", (), "two", False, "--all"),
    ("one listed, no management", ((OACS, "<H", 0x2),), "one", True, None),
    ("one listed, but other controllers may hold more", ((OACS, "<H", 0x2), (CMIC, "<B", 2)), "one", False, None),
    ("one in all of the subsystem", ((CMIC, "<B", 2),), "one", True, "--all"),
]


@pytest.mark.parametrize(
    ("changes", "listed", "alone", "flag"), [case[1:] for case in ALONE], ids=[case[0] for case in ALONE]
)
def test_only_namespace_is_known_to_be_it(golden, changes, listed, alone, flag):
    raw = patched(golden("nvme-id-ctrl.bin"), *changes)
    tool = NvmeCli(id_ctrl=raw, list_ns=golden(f"nvme-list-ns-{listed}.json"))
    assert read_controller(tool, "/dev/nvme0n1") == (parse_controller(raw), alone)
    assert all(argv[-1] == "/dev/nvme0n1" for argv in tool.asked)
    assert flag is None or flag in tool.asked[1]


def test_list_that_is_refused_is_not_an_empty_one(golden):
    with pytest.raises(TaskError):
        read_controller(NvmeCli(id_ctrl=golden("nvme-id-ctrl.bin")), "/dev/nvme0n1")


def log(progress: int, state: int) -> bytes:
    return struct.pack("<HHI", progress, state | 0x100, 2).ljust(512, b"\0")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (log(0xFFFF, 0), (SanitizeState.NEVER, 65535 / 65536)),
        (log(0x8000, 2), (SanitizeState.RUNNING, 0.5)),
        (log(0xFFFF, 4), (SanitizeState.DONE_DEALLOCATED, 65535 / 65536)),
    ],
)
def test_sanitize_log(raw, expected):
    assert parse_sanitize_log(raw) == expected


class Bench:
    def __init__(self, clock, tool) -> None:
        self.clock, self.processes = clock, tool
        self.progress: list[float] = []


def test_sanitize_is_waited_for(bench):
    world = Bench(bench.clock, NvmeCli(sanitize=b"", sanitize_log=[log(0, 2), log(0x4000, 2), log(0xFFFF, 1)]))
    sanitize(world, "/dev/nvme0n1", world.progress.append)
    assert world.progress == [0.0, 0.25]
    assert [argv for argv in world.processes.asked if argv[1] == "sanitize"] == [
        ("nvme", "sanitize", "--sanact=2", "--ause", "/dev/nvme0n1")
    ]


def test_failed_sanitize_is_left_behind(bench):
    world = Bench(bench.clock, NvmeCli(sanitize=b"", sanitize_log=[log(0, 2), log(0, 3)]))
    with pytest.raises(TaskError, match="ended as failed"):
        sanitize(world, "/dev/nvme0n1", world.progress.append)
    assert world.processes.asked[-1] == ("nvme", "sanitize", "--sanact=1", "/dev/nvme0n1")


@pytest.mark.parametrize("answer", [log(0x1000, 2), None], ids=["no progress", "no log"])
def test_sanitize_that_stands_still_is_given_up(bench, answer):
    world = Bench(bench.clock, NvmeCli(sanitize=b"", sanitize_log=answer))
    with pytest.raises(TaskError, match="stands still"):
        sanitize(world, "/dev/nvme0n1", world.progress.append)
    assert 3600 < sum(bench.clock.slept) < 3700


@pytest.mark.parametrize(
    ("answer", "finished"),
    [(None, False), (log(0xFFFF, 0), False), (log(0xFFFF, 1), False), ([log(1, 2), log(2, 2), log(9, 1)], True)],
)
def test_sanitize_of_an_earlier_life_is_finished(bench, answer, finished):
    world = Bench(bench.clock, NvmeCli(sanitize_log=answer))
    assert finish_sanitize(world, "/dev/nvme0n1", world.progress.append) is finished


@given(st.binary(max_size=600) | st.binary(min_size=4096, max_size=4096))
def test_parsers_are_total(raw):
    for parse in (parse_controller, parse_sanitize_log, count_namespaces):
        with suppress(ProtocolError):
            parse(raw)
