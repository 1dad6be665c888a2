"""Every kind of task reaches the one who does it, and what they raise becomes a failure."""

from dataclasses import replace

import pytest

from images.agent.disks import fingerprint
from images.agent.protocol import DiskName, Rescue, Wipe, WipeLevel
from images.agent.work import Work

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEajzJdTWJQ/meIQERsvANxZ8SjSENimHcyVwgP5HoWo"


def work(bench) -> Work:
    return Work(bench.ports, dict)


def wipe_task(bench) -> Wipe:
    name = DiskName(serial="S1", wwn=bench.disk.wwn, size_bytes=len(bench.old))
    return Wipe(id="w", fence=1, disk=name, expect_contents="unknown", level=WipeLevel.ERASE)


def test_wipe_leaves_a_blank_disk(bench):
    bench.disks.contents = lambda path: fingerprint(bench.path.read_bytes()[: 1 << 20], {})
    evidence, failure = work(bench).do(wipe_task(bench), bench.tally)
    assert failure is None
    assert evidence["read_back_bytes"] == len(bench.old)
    assert bench.path.read_bytes() == bytes(len(bench.old))
    assert bench.disks.contents("") == "blank"


def test_refused_wipe_is_a_failure_with_evidence(bench):
    bench.disks.contents_now = "gpt:1"
    evidence, failure = work(bench).do(replace(wipe_task(bench), expect_contents="gpt:2"), bench.tally)
    assert (evidence, failure.message) == ({}, "the disk holds foreign data")
    assert failure.evidence == "found gpt:1, the plan names gpt:2"
    assert bench.path.read_bytes() == bench.old


@pytest.mark.parametrize(("change", "looks"), [({"expect_contents": "gpt:2"}, 1), ({}, 0)], ids=["other", "as planned"])
def test_a_disk_that_is_not_what_the_plan_says_is_looked_at_again(bench, change, looks):
    looked = []
    bench.disks.contents_now = "gpt:1"
    task = replace(wipe_task(bench), **{"expect_contents": "gpt:1", **change})
    Work(bench.ports, lambda: looked.append(1) or {}).do(task, bench.tally)
    assert len(looked) == looks


def test_rescue_without_its_tools_is_a_failure(bench):
    class Missing:
        def run(self, argv, *, timeout, stdin=b""):
            raise FileNotFoundError(2, "No such file or directory", argv[0])

        def write_private(self, path, data):
            pass

    bench.ports = replace(bench.ports, processes=Missing(), files=Missing())
    evidence, failure = work(bench).do(Rescue(id="r", fence=1, authorized_keys=(KEY,)), bench.tally)
    assert (evidence, failure.message) == ({}, "the machine refused")
    assert "No such file" in failure.evidence
