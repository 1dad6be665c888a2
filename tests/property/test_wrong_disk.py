"""Between the plan and the write a machine's disks change names, places and contents: only the planned one is written.

The choice and the plan are the product's, the writing is the agent's own, on disks that write down who touched them.
"""

from collections import Counter
from dataclasses import dataclass, replace

from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from appliance.errors import PlanError
from appliance.roles.disk import BLANK, Overwrite, SmallestDisk, choose_disk
from appliance.sim.disk import Disk as SimDisk
from appliance.sim.disk import Op, Pages, Worksheet, read
from appliance.sim.image import small_image
from images.agent.errors import LinkError, TaskError
from images.agent.ports import Finished, Ports, Reply
from images.agent.protocol import BlobFile, DiskFacts, DiskName, HashedFile, WriteImage
from images.agent.tally import Tally
from images.agent.writer import write_image
from tests.unit.appliance.roles.machines import disk as some_disk
from tests.unit.appliance.roles.machines import facts, nics

MIB = 1 << 20
SIZES = [2 * MIB, 16 * MIB, 16 * MIB, 32 * MIB]
IMAGE = small_image()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """A thing of metal; `number` is what nobody but the test can see."""

    number: int
    serial: str
    wwn: str
    size: int
    contents: str


DRIVE = st.builds(
    lambda serial, wwn, size, contents: Drive(number=0, serial=serial, wwn=wwn, size=size, contents=contents),
    st.sampled_from(["", "S0", "S1", "S2", "S3", "S4", "S5", "S6", "S7"]),
    st.sampled_from(["", "naa.0", "naa.1", "naa.2", "naa.3", "naa.4", "naa.5"]),
    st.sampled_from(SIZES),
    st.sampled_from([BLANK, BLANK, BLANK, "gpt:1", "ext:2"]),
)
DRIVES = st.lists(DRIVE, min_size=1, max_size=6).map(
    lambda drives: [replace(drive, number=at) for at, drive in enumerate(drives)]
)


class Slots:
    """Implements `images.agent.ports.Disks`: these drives, in this order, under these names."""

    def __init__(self, drives: list[Drive], names: list[str]) -> None:
        self._at = {f"/dev/{name}": drive for drive, name in zip(drives, names, strict=True)}
        self.sheets = {path: Worksheet(SimDisk(path, drive.serial, drive.size)) for path, drive in self._at.items()}

    def read(self) -> tuple[DiskFacts, ...]:
        return tuple(
            DiskFacts(
                name=path.removeprefix("/dev/"),
                path=path,
                serial=drive.serial,
                wwn=drive.wwn,
                size_bytes=drive.size,
                rotational=False,
                removable=False,
                model="",
                contents=drive.contents,
            )
            for path, drive in self._at.items()
        )

    def contents(self, path: str) -> str:
        return self._at[path].contents

    def open(self, path: str) -> Worksheet:
        return self.sheets[path]

    def written(self) -> dict[int, list[Op]]:
        return {self._at[path].number: sheet.ops for path, sheet in self.sheets.items() if sheet.ops}


class Stream:
    def __init__(self, data: bytes) -> None:
        self._data, self.total = data, len(data)

    def read(self, size: int) -> bytes:
        piece, self._data = self._data[:size], self._data[size:]
        if len(piece) != size:
            raise LinkError("the connection ended early")
        return piece

    def close(self) -> None:
        return


class World:
    """The rest of the agent's ports, none of which matters here."""

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing is to be waited for")

    def fraction(self) -> float:
        return 0.0

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        raise AssertionError(path)

    def open(self, path: str, *, start: int) -> Stream:
        return Stream((IMAGE.manifest if path == "manifest" else IMAGE.blob)[start:])

    def run(self, argv: object, *, timeout: float, stdin: bytes = b"") -> Finished:
        raise AssertionError(argv)

    def write_private(self, path: str, data: bytes) -> None:
        raise AssertionError(path)


def carried_out(task: WriteImage, slots: Slots) -> TaskError | None:
    world = World()
    ports = Ports(clock=world, rng=world, http=world, disks=slots, processes=world, files=world, uefi=True)
    try:
        write_image(task, ports, Tally())
    except TaskError as error:
        return error
    return None


def planned(drives: list[Drive], names: list[str], links: list[int], overwrite: Overwrite) -> tuple[Drive, WriteImage]:
    disks = {
        replace(
            some_disk(drive.serial, contents=drive.contents), name=name, wwn=drive.wwn, size_bytes=drive.size
        ): drive
        for drive, name in zip(drives, names, strict=True)
    }
    ports = nics(*[1000] * len(links))
    here = replace(facts(), disks=tuple(disks), nics=tuple(ports[at] for at in links))
    chosen = choose_disk(here, SmallestDisk(), IMAGE.ref.raw_bytes, overwrite)
    return disks[chosen], WriteImage(
        id="t1",
        fence=1,
        manifest=HashedFile(path="manifest", sha256=IMAGE.ref.manifest_sha256),
        blob=BlobFile(path="blob"),
        disk=DiskName(serial=chosen.serial, wwn=chosen.wwn, size_bytes=chosen.size_bytes),
        expect_contents=chosen.contents,
    )


@st.composite
def later(draw: st.DrawFn, drives: list[Drive]) -> list[Drive]:
    """The same machine after somebody was at it: each drive as it was, gone, or with other data; perhaps new ones."""
    kept = list[Drive]()
    for drive in drives:
        match draw(st.sampled_from(["same", "same", "same", "gone", "other data", "blank"])):
            case "same":
                kept.append(drive)
            case "other data":
                kept.append(replace(drive, contents="gpt:99"))
            case "blank":
                kept.append(replace(drive, contents=BLANK))
    new = [replace(drive, number=100 + at) for at, drive in enumerate(draw(st.lists(DRIVE, max_size=2)))]
    return draw(st.permutations(kept + new))


def letters(data: st.DataObject, count: int) -> list[str]:
    return list(data.draw(st.permutations([f"sd{letter}" for letter in "abcdefgh"[:count]])))


def is_called(task: WriteImage, drive: Drive) -> bool:
    return all(wanted in ("", own) for wanted, own in ((task.disk.serial, drive.serial), (task.disk.wwn, drive.wwn)))


def whole(ops: list[Op]) -> bool:
    pages: Pages = {}
    for op in ops:
        op.apply(pages)
    return IMAGE.is_whole(pages) and read(pages, 0, 4096) == read(IMAGE.pages, 0, 4096)


def test_only_the_planned_disk_is_written() -> None:
    seen = Counter[str]()

    @settings(max_examples=500)
    @given(DRIVES, st.sampled_from(Overwrite), st.permutations([0, 1, 2]), st.data())
    def case(drives: list[Drive], overwrite: Overwrite, links: list[int], data: st.DataObject) -> None:
        seen[outcome(drives, overwrite, links, data)] += 1

    case()
    assert seen["written"] >= 50, seen
    for reason in ("no disk has serial", "disks have this name", "the disk holds foreign data"):
        assert any(reason in said for said in seen), seen


def outcome(drives: list[Drive], overwrite: Overwrite, links: list[int], data: st.DataObject) -> str:
    """Of one case, which is checked on the way: "written", or what stopped it."""
    try:
        chosen, task = planned(drives, letters(data, len(drives)), links, overwrite)
    except PlanError:
        reject()
    now = data.draw(later(drives))
    called = [drive for drive in now if is_called(task, drive)]
    # another drive with the same name, of the same size, in the place of one that left: no reader can tell the two
    assume(not (len(called) == 1 and called[0].number != chosen.number and called[0].size == chosen.size))
    slots = Slots(now, letters(data, len(now)))

    refusal = carried_out(task, slots)

    as_planned = [drive.contents for drive in called] in ([BLANK], [chosen.contents]) and called[0].size == chosen.size
    assert (refusal is None) == as_planned
    if refusal is not None:
        assert slots.written() == {}
        return str(refusal)
    assert slots.written().keys() == {chosen.number}
    assert whole(slots.written()[chosen.number])
    return "written"
