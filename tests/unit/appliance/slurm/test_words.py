"""What Slurm 24.11 printed, read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.slurm import words
from appliance.slurm.words import NodeWord

LINE = (
    "NodeName=w2 Arch=x86_64 CoresPerSocket=2  CPUAlloc=0 CPUEfctv=2 Gres=(null) NodeAddr=10.77.0.13 NodeHostName=w2 "
    "Version=24.11.5 OS=Linux 6.18.44 #1 SMP PREEMPT_DYNAMIC @0  RealMemory=20000 State={} ThreadsPerCore=1 "
    "Partitions=all  BootTime=2026-11-29T15:37:26 CfgTRES=cpu=2,mem=20000M,billing=2 AllocTRES= AveWatts=0 {}"
)
OURS = " Reason=innervate: to be changed [root@2026-11-30T07:01:38]"


def node(state: str, reason: str = "") -> NodeWord:
    (found,) = words.nodes(LINE.format(state, reason) + "\n").values()
    return found


def test_a_node() -> None:
    found = node("IDLE+DRAIN", OURS)
    assert (found.name, found.address, found.version) == ("w2", "10.77.0.13", "24.11.5")
    assert found.reason == "innervate: to be changed"
    assert found.lacks == "w2 is drain: innervate: to be changed"


@pytest.mark.parametrize(
    ("state", "well", "idle", "drained"),
    [
        ("IDLE", True, True, False),
        ("IDLE+PLANNED", True, True, False),
        ("ALLOCATED", True, False, False),
        ("MIXED", True, False, False),
        ("IDLE+DRAIN", False, False, True),
        ("UNKNOWN+DRAIN", False, False, False),
        ("MIXED+DRAIN", False, False, False),
        ("ALLOCATED+DRAIN", False, False, False),
        ("IDLE+COMPLETING+DRAIN", False, False, False),
        ("DOWN+DRAIN+NOT_RESPONDING", False, False, True),
        ("DOWN*", False, False, True),
        ("IDLE*", False, False, False),
        ("UNKNOWN", False, False, False),
        ("DOWN+INVALID_REG", False, False, True),
    ],
)
def test_states(state: str, *, well: bool, idle: bool, drained: bool) -> None:
    found = node(state)
    assert (found.lacks == "", found.idle, found.drained) == (well, idle, drained)


def test_a_node_that_never_came_has_no_version() -> None:
    (found,) = words.nodes("NodeName=w9 NodeAddr=10.77.0.9 State=UNKNOWN\n").values()
    assert (found.version, found.lacks) == ("", "w9 is unknown")


@pytest.mark.parametrize(
    ("text", "silent"),
    [
        ("Slurmctld(primary) at head is UP\n", ()),
        ("Slurmctld(primary) at a is UP\nSlurmctld(backup) at b is DOWN\n", ("b",)),
        ("*****************************************\n** RESTORE SLURMCTLD DAEMON TO SERVICE **\n", ("slurmctld",)),
        ("", ("slurmctld",)),
    ],
    ids=["one", "its backup is down", "none", "nothing"],
)
def test_controllers(text: str, silent: tuple[str, ...]) -> None:
    assert words.silent(text) == silent


def test_answers_of_a_job() -> None:
    assert words.answers(f"w1 {'a' * 64}  -\n\nw2 {'b' * 64}  -\nodd\n") == {"w1": "a" * 64, "w2": "b" * 64}


@given(st.text())
def test_whatever_is_printed_is_read(text: str) -> None:
    for one in words.nodes(text).values():
        assert len(one.name) <= 64
    words.silent(text)
    words.answers(text)
