"""Images onto disks: every bad input leaves the disk as it was, every power cut leaves it unbootable or whole."""

import hashlib
from dataclasses import replace

import pytest
import zstandard

from images.agent.errors import TaskError
from images.agent.writer import Hole, plan, write_image


def write(bench):
    return write_image(bench.task, bench.ports, bench.tally)


def on_disk(bench) -> bytes:
    return bench.path.read_bytes()


@pytest.mark.parametrize("discards", ["no", "zeros", "lies"])
def test_image_is_on_disk_with_its_holes_zero(bench, discards):
    bench.disks.discards = discards
    evidence = write(bench)
    assert on_disk(bench)[: len(bench.raw)] == bench.raw
    assert evidence == {
        "disk_serial": "S1",
        "blocks": 6,
        "bytes": len(bench.raw),
        "seconds": 0,
        "resumes": 0,
        "manifest_sha256": bench.task.manifest.sha256,
        "discarded": "no" if discards == "no" else "yes",
    }
    assert bench.tally.done == bench.tally.total == len(bench.raw)
    assert bench.tally.fetched == len(bench.blob)
    assert bench.tally.skipped == (3 * bench.BLOCK if discards == "zeros" else 0)
    assert on_disk(bench)[-bench.BLOCK :] == bytes(bench.BLOCK)  # no old backup table or RAID superblock


def test_holes_on_discarded_space_are_not_written(bench):
    write(bench)
    assert not {offset for offset, _ in bench.disks.opened[0].writes} & {hole * bench.BLOCK for hole in (2, 5, 6)}


def test_plan_leaves_the_first_block_out(bench):
    steps = list(plan(bench.manifest))
    assert [type(step) is Hole for step in steps] == [False, True, False, False, True, True, False, False]


def test_power_cut_at_any_write_leaves_no_partition_table(bench):
    bench.disks.discards = "no"
    write(bench)
    writes = len(bench.disks.opened[0].writes)
    assert writes > 9
    for cut in range(1, writes):
        bench.path.write_bytes(bench.old)
        bench.disks.cut_after = cut
        with pytest.raises(bench.PowerCutError):
            write(bench)
        assert on_disk(bench)[: bench.BLOCK] == bytes(bench.BLOCK), cut
    bench.disks.cut_after = None
    write(bench)
    assert on_disk(bench)[: len(bench.raw)] == bench.raw


def wrong_serial(bench):
    bench.task = replace(bench.task, disk=replace(bench.task.disk, serial="S9"))


def wrong_wwn(bench):
    bench.task = replace(bench.task, disk=replace(bench.task.disk, wwn="naa.6"))


def wrong_size(bench):
    bench.task = replace(bench.task, disk=replace(bench.task.disk, size_bytes=1))


def two_alike(bench):
    bench.disks.found = (bench.disk, bench.disk)


def grown_since(bench):
    bench.disks.found = (replace(bench.disk, size_bytes=4096),)
    bench.task = replace(bench.task, disk=replace(bench.task.disk, size_bytes=4096))


def foreign_data(bench):
    bench.disks.contents_now = "gpt:1234"
    bench.task = replace(bench.task, expect_contents="ext:5678")


def unreadable(bench):
    bench.disks.contents_now = "unreadable"


def too_large(bench):
    bench.serve(*bench.make_image(bytes(len(bench.old)) + b"\1" * 512))


def another_manifest(bench):
    bench.server.files["/image.json"] = bench.server.files["/image.json"].replace(b"test", b"tost")


def no_manifest(bench):
    text = b'{"version": 2}'
    bench.server.files["/image.json"] = text
    digest = hashlib.sha256(text).hexdigest()
    bench.task = replace(bench.task, manifest=replace(bench.task.manifest, sha256=digest))


def missing_manifest(bench):
    del bench.server.files["/image.json"]


def missing_blob(bench):
    del bench.server.files["/image.blob"]


def truncated_blob(bench):
    bench.server.files["/image.blob"] = bench.blob[:-1]


def longer_blob(bench):
    bench.server.files["/image.blob"] = bench.blob + b"x"


def damaged_first_frame(bench):
    bench.server.always = bench.Corrupt(10)


def bomb(bench):
    """A frame whose hash is right but which states, and has, more than the manifest says."""
    first = bench.manifest.blocks[0]
    frame = zstandard.ZstdCompressor().compress(bytes(64 << 20))
    _replace_first(bench, first, frame)


def bomb_of_unknown_size(bench):
    first = bench.manifest.blocks[0]
    compressor = zstandard.ZstdCompressor(write_content_size=False)
    _replace_first(bench, first, compressor.compress(bytes(64 << 20)))


def short_frame(bench):
    first = bench.manifest.blocks[0]
    _replace_first(bench, first, zstandard.ZstdCompressor(write_content_size=False).compress(b"short"))


def no_frame(bench):
    _replace_first(bench, bench.manifest.blocks[0], b"not zstd at all")


def _replace_first(bench, first, frame):
    block = replace(first, length=len(frame), sha256=hashlib.sha256(frame).hexdigest())
    manifest = replace(bench.manifest, blocks=(block,), blob_size=len(frame))
    bench.serve(manifest, frame)


REFUSED = [
    (wrong_serial, "no disk has serial S9", "S0/- of"),
    (wrong_wwn, "WWN naa.6", "S1/naa.5000c500a1b2c3d4"),
    (wrong_size, "not of 1 bytes", "S1/"),
    (two_alike, "2 disks have this name", "S1/"),
    (grown_since, "changed its size", "3145728"),
    (foreign_data, "foreign data", "found gpt:1234, the plan names ext:5678"),
    (unreadable, "foreign data", "unreadable"),
    (too_large, "larger than the disk", "3145728"),
    (another_manifest, "not the file that was planned", "sha256 expected"),
    (no_manifest, "not a manifest", "image.json"),
    (missing_manifest, "no bytes from 0 on", "404"),
    (missing_blob, "no bytes from 0 on", "404"),
    (truncated_blob, "truncated", "the manifest says"),
    (longer_blob, "too long", "the manifest says"),
    (damaged_first_frame, "block 0 of the image is damaged", "4 times"),
    (bomb, "does not expand", "67108864"),
    (bomb_of_unknown_size, "does not expand", "block 0"),
    (short_frame, "does not expand", "5 raw bytes"),
    (no_frame, "does not expand", "block 0"),
]


@pytest.mark.parametrize(("spoil", "message", "evidence"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_refusal_leaves_the_disk_as_it_was(bench, spoil, message, evidence):
    spoil(bench)
    with pytest.raises(TaskError) as refused:
        write(bench)
    assert message in str(refused.value)
    assert evidence in refused.value.evidence
    assert on_disk(bench) == bench.old


def test_disk_with_the_expected_contents_is_overwritten(bench):
    bench.disks.contents_now = "gpt:1234"
    bench.task = replace(bench.task, expect_contents="gpt:1234")
    write(bench)
    assert on_disk(bench)[: len(bench.raw)] == bench.raw


def test_damaged_frame_in_the_middle_fails_without_a_partition_table(bench):
    block = bench.manifest.blocks[3]
    bench.server.always = bench.Corrupt(block.offset + 100)
    with pytest.raises(TaskError, match=f"block {block.index} of the image is damaged") as failed:
        write(bench)
    assert block.sha256 in failed.value.evidence
    assert bench.blob_gets() == [0, block.offset, block.offset, block.offset]
    assert on_disk(bench)[: bench.BLOCK] == bytes(bench.BLOCK)
    assert on_disk(bench)[7 * bench.BLOCK : 8 * bench.BLOCK] != bench.raw[7 * bench.BLOCK : 8 * bench.BLOCK]


def test_frame_damaged_once_is_fetched_again(bench):
    block = bench.manifest.blocks[2]
    bench.server.faults.append(bench.Corrupt(block.offset))
    assert write(bench)["resumes"] == 1
    assert bench.blob_gets() == [0, block.offset]
    assert on_disk(bench)[: len(bench.raw)] == bench.raw


def test_reset_resumes_at_the_first_missing_frame(bench):
    second, fourth = bench.manifest.blocks[1], bench.manifest.blocks[3]
    bench.server.faults.extend(
        [
            bench.Reset(second.offset + 10),
            bench.Status(503),
            bench.Reset(fourth.offset - second.offset),
        ]
    )
    assert write(bench)["resumes"] == 3
    assert bench.blob_gets() == [0, second.offset, second.offset, fourth.offset]
    assert on_disk(bench)[: len(bench.raw)] == bench.raw
    assert all(1 <= delay <= 30 for delay in bench.clock.slept)
    assert len(bench.clock.slept) == 3


def test_server_that_stays_away_is_given_up_after_ten_minutes(bench):
    bench.server.always = bench.Status(503)
    with pytest.raises(TaskError, match="nothing came"):
        write(bench)
    assert 600 <= sum(bench.clock.slept) <= 630
    assert on_disk(bench) == bench.old


def test_range_past_a_truncated_blob_is_a_clear_error(bench):
    second = bench.manifest.blocks[1]
    bench.server.faults.append(bench.Reset(second.offset))
    write_ok = bench.server.fault_for

    def shrink(path):
        fault = write_ok(path)
        if fault is None and path == "/image.blob":
            bench.server.files[path] = bench.blob[: second.offset]
        return fault

    bench.server.fault_for = shrink
    with pytest.raises(TaskError, match=f"no bytes from {second.offset} on") as failed:
        write(bench)
    assert "416" in failed.value.evidence
    assert on_disk(bench)[: bench.BLOCK] == bytes(bench.BLOCK)
