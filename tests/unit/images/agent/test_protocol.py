"""Every message goes both ways; whatever else comes is refused with ProtocolError only."""

import json
from contextlib import suppress
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.agent import protocol
from images.agent.errors import ProtocolError
from images.agent.protocol import (
    BlobFile,
    BootDisk,
    DiskName,
    Failure,
    HashedFile,
    Inspect,
    Offer,
    Poll,
    PollReply,
    PowerOff,
    Progress,
    Reboot,
    Rescue,
    SeedFile,
    TaskReport,
    TaskState,
    Welcome,
    Wipe,
    WipeLevel,
    WriteImage,
    WriteSeed,
    encode,
    parse_poll,
    parse_poll_reply,
    parse_welcome,
)

SHA = "0" * 64
DISK = DiskName(serial="S1", wwn="", size_bytes=512)
WRITE = WriteImage(
    id="t",
    fence=7,
    manifest=HashedFile(path="/m.json", sha256=SHA),
    blob=BlobFile(path="/b"),
    disk=DISK,
    expect_contents="blank",
)
SEED = WriteSeed(id="t", fence=1, disk=DISK, seed=SeedFile(path="/s", sha256=SHA, size=1, salt=SHA))
BOOT = BootDisk(id="t", fence=1, disk=DISK)
WIPE = Wipe(id="t", fence=7, disk=DISK, expect_contents="gpt:1", level=WipeLevel.ERASE)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEajzJdTWJQ/meIQERsvANxZ8SjSENimHcyVwgP5HoWo"
RESCUE = Rescue(id="t", fence=7, authorized_keys=(KEY, KEY + " ops@site"))
TASKS = [
    Inspect(id="t", fence=1),
    WRITE,
    SEED,
    BOOT,
    WIPE,
    replace(WIPE, level=WipeLevel.DISCARD),
    RESCUE,
    Reboot(id="t", fence=1),
    PowerOff(id="t", fence=0),
    None,
]
PARSERS = [protocol.parse_hello, protocol.parse_welcome, protocol.parse_facts, parse_poll, parse_poll_reply]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task and task.do)
def test_task_goes_both_ways(task):
    assert parse_poll_reply(encode(PollReply(task=task, poll_after=2.5))) == Offer(task=task, poll_after=2.5)


@given(
    st.integers(0, 2**63 - 1),
    st.dictionaries(st.text(max_size=20), st.text(max_size=20) | st.integers(0, 9), max_size=5),
)
def test_report_goes_both_ways(fence, evidence):
    failure = Failure(message="m", evidence="é\n", next_action="")
    for state, error in ((TaskState.RUNNING, None), (TaskState.DONE, None), (TaskState.FAILED, failure)):
        progress = Progress(done=1, total=2, skipped=3, fetched=4)
        report = TaskReport(id="t", fence=fence, state=state, progress=progress, evidence=evidence, error=error)
        assert parse_poll(encode(Poll(boot_id="b", task=report))) == Poll(boot_id="b", task=report)


def test_welcome_goes_both_ways():
    assert parse_welcome(b'{"machine":"node-0","poll_after":1}') == Welcome(machine="node-0", poll_after=1.0)


SPOILED = [
    (WRITE, ("do",), "dance"),
    (WRITE, ("do",), 1),
    (WRITE, ("extra",), 1),
    (WRITE, ("disk", "partition"), 2),
    (WRITE, ("disk", "serial"), ""),
    (WRITE, ("disk", "serial"), None),
    (WRITE, ("disk", "size_bytes"), 0),
    (WRITE, ("disk", "size_bytes"), True),
    (WRITE, ("disk", "size_bytes"), 1.5),
    (WRITE, ("manifest", "sha256"), "A" * 64),
    (WRITE, ("manifest", "path"), "http://other/m"),
    (WRITE, ("blob", "path"), "/a b"),
    (WRITE, ("blob", "path"), "/a\r\nX: y"),
    (WRITE, ("blob",), []),
    (WRITE, ("expect_contents",), "x" * 257),
    (WIPE, ("level",), "shred"),
    (WIPE, ("level",), None),
    (WIPE, ("level",), "ERASE"),
    (WIPE, ("disk", "serial"), ""),
    (WIPE, ("disk",), "sda"),
    (WIPE, ("partition",), 1),
    (WIPE, ("expect_contents",), 0),
    (RESCUE, ("user",), "admin"),
    (RESCUE, ("password",), "x"),
    (RESCUE, ("authorized_keys",), []),
    (RESCUE, ("authorized_keys",), KEY),
    (RESCUE, ("authorized_keys",), [KEY] * 33),
    (RESCUE, ("authorized_keys",), [KEY, KEY + "\n" + KEY]),
    (RESCUE, ("authorized_keys",), ['command="sh" ' + KEY]),
]


@pytest.mark.parametrize(("good", "where", "value"), SPOILED)
def test_spoiled_task_is_a_failure_that_can_be_reported(good, where, value):
    task = asdict(good)
    target = task
    for name in where[:-1]:
        target = target[name]
    target[where[-1]] = value
    offer = parse_poll_reply(json.dumps({"task": task, "poll_after": 1}).encode())
    assert isinstance(offer.task, protocol.BadTask)
    assert (offer.task.id, offer.task.fence) == ("t", 7)


NONSENSE = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"\xff",
    b"[" * 100000,
    b'{"task":NaN,"poll_after":1}',
    b'{"task":{"id":"x"},"poll_after":1}',
    b'{"task":null,"poll_after":-1}',
    b'{"task":null,"poll_after":"1"}',
    b'{"\\ud800":1}',
    b"9" * 5000,
    b" " * (17 << 20),
    b'{"a":' * 200 + b"1" + b"}" * 200,
]


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize("data", NONSENSE, ids=range(len(NONSENSE)))
def test_nonsense_is_refused(parse, data):
    with pytest.raises(ProtocolError):
        parse(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["task", "id", "fence", "do", "disk", "cpu"]), inner)
    ),
    max_leaves=12,
)


@given(JSON)
def test_parsers_are_total(value):
    for parse in PARSERS:
        with suppress(ProtocolError):
            parse(json.dumps(value).encode())
