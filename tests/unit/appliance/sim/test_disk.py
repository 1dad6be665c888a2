"""Simulated disks: what is written reads back, what is not flushed may be gone, and a partition table is real."""

from uuid import UUID

import pytest

from appliance.sim.disk import PAGE, Disk, Kind, Op, Worksheet, contents_of, paged, read
from appliance.sim.foreign import foreign_system
from appliance.sim.image import has_table, small_image
from appliance.sim.partitioning import ESP, LINUX, Part, parse_table, sfdisk, table_head
from images.agent.partitions import parse_table as agents_parse_table

SIZE = 64 << 20
FLUSH = Op(kind=Kind.FLUSH)


def test_writes_read_back_as_bytes_do() -> None:
    content = bytearray(8 * PAGE)
    pages: dict[int, bytes] = {}
    for offset, data in ((0, b"a" * 10), (PAGE - 3, b"bcdefg"), (2 * PAGE, b"z" * 3 * PAGE), (3 * PAGE, bytes(PAGE))):
        paged(offset, data, pages).apply(pages)
        content[offset : offset + len(data)] = data
    assert read(pages, 0, len(content)) == bytes(content)
    assert read(pages, 5, 2 * PAGE) == bytes(content[5 : 5 + 2 * PAGE])
    assert 3 not in pages, "zeros take no room"


@pytest.mark.parametrize(
    ("flushed", "survives", "left"), [(True, False, True), (False, True, True), (False, False, False)]
)
def test_a_power_cut_takes_what_was_not_flushed(flushed: bool, survives: bool, left: bool) -> None:
    disk = Disk("sda", "S1", SIZE)
    disk.do(paged(0, b"data", {}))
    if flushed:
        disk.do(FLUSH)
    assert read(disk.content(), 0, 4) == b"data"
    disk.lose_power([survives] * len(disk.cache))
    assert (read(disk.content(), 0, 4) == b"data") is left


def test_a_worksheet_does_nothing_by_itself() -> None:
    disk = Disk("sda", "S1", SIZE, pages=foreign_system(1))
    before = dict(disk.content())
    sheet = Worksheet(disk)
    sheet.zero(0, 1 << 20)
    sheet.write(PAGE, b"x" * PAGE)
    sheet.flush()
    assert sheet.read(PAGE, 2) == b"xx"
    assert disk.content() == before
    for op in sheet.ops:
        disk.do(op)
    assert (read(disk.content(), PAGE, 2), read(disk.content(), 512, 8)) == (b"xx", bytes(8))


def test_a_disk_breaks_at_the_operation_that_it_is_to() -> None:
    sheet = Worksheet(Disk("sda", "S1", SIZE), breaks_after=2)
    sheet.zero(0, PAGE)
    sheet.flush()
    with pytest.raises(OSError, match="Input/output"):
        sheet.write(0, b"x")
    with pytest.raises(OSError, match="Input/output"):
        sheet.read(0, 1)
    assert sheet.broke
    assert len(sheet.ops) == 2


def test_fingerprints_are_the_agents_own() -> None:
    image = small_image()
    assert contents_of({}) == "blank"
    assert contents_of(image.pages).startswith("gpt:")
    assert contents_of(foreign_system(1)) != contents_of(foreign_system(2))
    broken = Disk("sda", "S1", SIZE)
    broken.broken = True
    assert broken.facts().contents == "unreadable"


def test_an_image_is_whole_or_not() -> None:
    image = small_image()
    assert image.is_whole(image.pages)
    for page in image.pages:
        partial = {number: data for number, data in image.pages.items() if number != page}
        assert not image.is_whole(partial) or page not in image.pages
    assert not image.is_whole({number: data for number, data in image.pages.items() if number > 5})
    assert not image.is_whole(foreign_system(1))
    assert image.is_on(image.pages)
    assert not image.is_on(foreign_system(1))


def test_partitions_are_added_and_removed_as_the_agent_does() -> None:
    disk = Disk("sda", "S1", SIZE, pages=small_image().pages)
    sheet = Worksheet(disk)
    line = f'start=100000, size=8192, type={LINUX}, name="cidata"\n'
    assert sfdisk(sheet, ("sfdisk", "--append", "/dev/sda"), line.encode()).status == 0
    table = agents_parse_table(sfdisk(sheet, ("sfdisk", "--json", "/dev/sda"), b"").output)
    assert [(part.number, part.name) for part in table.partitions] == [(1, "esp"), (2, "root"), (3, "cidata")]
    assert (table.partitions[2].start, table.partitions[2].size) == (100000 * 512, 8192 * 512)
    assert table.partitions[0].type == str(ESP).upper()
    assert sfdisk(sheet, ("sfdisk", "--delete", "/dev/sda", "3"), b"").status == 0
    assert len(agents_parse_table(sfdisk(sheet, ("sfdisk", "--json", "/dev/sda"), b"").output).partitions) == 2


def test_a_disk_without_a_table_is_refused() -> None:
    assert sfdisk(Worksheet(Disk("sda", "S1", SIZE)), ("sfdisk", "--json", "/dev/sda"), b"").status == 1
    assert not has_table({})


def test_a_table_reads_back() -> None:
    parts = (
        Part(number=1, start=34, size=100, type=ESP, name="esp"),
        Part(number=4, start=200, size=1, type=LINUX, name=""),
    )
    head = table_head(UUID(int=5), parts)
    assert len(head) == 34 * 512
    assert parse_table(head) == parts
