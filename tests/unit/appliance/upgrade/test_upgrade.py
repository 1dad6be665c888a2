"""An upgrade whose power is cut at every write, whose disk lies, whose bundle is not what it says."""

import contextlib
import random
from io import BytesIO

import pytest

from appliance.errors import ConflictError, MachineryError, UsageError
from appliance.upgrade.decision import FellBack, Normal, OnTrial, admit, armed, check_way_back, meaning_of
from appliance.upgrade.writing import arm, content_of, fill
from images import grubenv
from images.bundle import MENU, ROOT, Manifest, StateForm, open_bundle
from images.errors import BundleError
from images.grubenv import Environment, Slot
from tests.unit.appliance.upgrade.conftest import (
    KEY,
    FakeDisk,
    PowerCutError,
    bundle_of,
    content,
    grub,
    install,
    manifest_of,
    runs,
)


def upgrade(disk: FakeDisk, running: Slot, data: bytes) -> None:
    file = BytesIO(data)
    fill(disk, running, open_bundle(file, KEY.public), file, lambda _line: None)
    arm(disk, running)


def fresh(running: Slot, *, cut: int = -1) -> FakeDisk:
    """0.1.0 runs; in the other slot stands what was left of a version before."""
    disk = FakeDisk(cut=cut, block=grubenv.block(Environment(good=running)))
    install(disk, running, "0.1.0")
    install(disk, running.other, "0.3.0")
    return disk


def writes_of(running: Slot) -> int:
    disk = fresh(running)
    upgrade(disk, running, bundle_of("0.2.0"))
    return disk.writes


@pytest.mark.parametrize("running", Slot, ids=lambda slot: slot.value)
def test_a_power_cut_at_every_write_leaves_old_or_new(running: Slot) -> None:
    last = writes_of(running)
    assert last > 15
    for cut in range(1, last + 1):
        disk = fresh(running, cut=cut)
        with pytest.raises(PowerCutError):
            upgrade(disk, running, bundle_of("0.2.0"))
        slot, on_trial = grub(disk)
        assert runs(disk, slot) == ("0.2.0" if on_trial else "0.1.0"), cut
        assert on_trial is (cut == last)
        assert grub(disk) == (running, False)
        disk.cut = -1
        upgrade(disk, running, bundle_of("0.2.0"))
        assert grub(disk) == (running.other, True)
        assert runs(disk, running.other) == "0.2.0"


def test_cut_again_and_again_it_still_starts() -> None:
    rng = random.Random(5)
    disk, running, seen = fresh(Slot.A), Slot.A, set[str]()
    for _ in range(300):
        slot, on_trial = grub(disk)
        version = runs(disk, slot)
        assert version
        seen.add(version)
        meaning = meaning_of(grubenv.read(disk.block), slot)
        if on_trial and rng.random() < 0.7:
            disk.set_environment(grubenv.block(Environment(good=slot)))
            running = slot
        elif on_trial:
            assert isinstance(meaning, OnTrial)
            continue
        assert slot is running
        disk.cut = disk.writes + rng.randrange(1, 60)
        wanted = "0.2.0" if version != "0.2.0" else "0.3.0"
        with contextlib.suppress(PowerCutError):
            upgrade(disk, running, bundle_of(wanted))
        disk.cut = -1
    assert seen == {"0.1.0", "0.2.0", "0.3.0"}


@pytest.mark.parametrize("name", content("0.2.0"))
def test_what_does_not_read_as_it_was_written_is_never_tried(name: str) -> None:
    disk = fresh(Slot.A)
    disk.spoils = name
    with pytest.raises(MachineryError, match="does not read"):
        upgrade(disk, Slot.A, bundle_of("0.2.0"))
    assert grub(disk) == (Slot.A, False)
    assert runs(disk, Slot.A) == "0.1.0"


def test_a_part_that_is_flipped_is_never_tried() -> None:
    whole, size = bundle_of("0.2.0"), manifest_of("0.2.0").size
    for at in random.Random(3).sample(range(len(whole) - size, len(whole)), 200):
        data = bytearray(whole)
        data[at] ^= 1 << (at % 8)
        disk = fresh(Slot.A)
        with pytest.raises(BundleError):
            upgrade(disk, Slot.A, bytes(data))
        assert grub(disk) == (Slot.A, False)


def test_a_slot_says_what_stands_in_it() -> None:
    disk = fresh(Slot.A)
    assert content_of(disk, Slot.B) == manifest_of("0.3.0")
    disk.remove(Slot.B, MENU)
    assert content_of(disk, Slot.B) is None
    assert content_of(FakeDisk(), Slot.A) is None


A, B = Slot.A, Slot.B
MEANINGS = [
    (None, A, Normal(environment=Environment(good=A))),
    (Environment(), A, Normal()),
    (Environment(), B, Normal(environment=Environment(good=B))),
    (Environment(good=B), B, Normal()),
    (Environment(trial=B, left=True), A, Normal(environment=Environment())),
    (Environment(trial=B), B, OnTrial()),
    (Environment(good=B, trial=A), A, OnTrial()),
    (Environment(trial=B), A, FellBack(failed=B, environment=Environment())),
    (Environment(good=B, trial=A), B, FellBack(failed=A, environment=Environment(good=B))),
    (Environment(left=True), A, Normal(environment=Environment())),
]


@pytest.mark.parametrize(("found", "running", "meaning"), MEANINGS, ids=map(str, range(len(MEANINGS))))
def test_what_a_boot_means(found: Environment | None, running: Slot, meaning: Normal | OnTrial | FellBack) -> None:
    assert meaning_of(found, running) == meaning


def test_what_is_armed_is_tried_once() -> None:
    disk = fresh(Slot.A)
    disk.set_environment(grubenv.block(armed(Slot.A)))
    assert [grub(disk), grub(disk), grub(disk)] == [(B, True), (A, False), (A, False)]


def changed(version: str, build: str = "0" * 12, state: StateForm | None = None) -> Manifest:
    old = manifest_of("0.1.0")
    return Manifest(version=version, build=build, state=state or old.state, parts=old.parts)


def test_a_version_that_fits_is_admitted() -> None:
    for version in ("0.1.0", "0.1.1", "0.10", "1"):
        admit(changed(version), manifest_of("0.1.0"), room=8000)


@pytest.mark.parametrize(
    ("new", "room", "error", "said"),
    [
        (manifest_of("0.1.0"), 8000, ConflictError, "is what runs"),
        (changed("0.0.9"), 8000, UsageError, "is older"),
        (changed("0.2.0"), manifest_of("0.1.0").part(ROOT).size - 1, UsageError, "larger than a slot"),
        (changed("0.2.0", state=StateForm(form=2, schema="0002", kinds=())), 8000, UsageError, "could not read"),
        (changed("0.2.0", state=StateForm(form=1, schema="0003", kinds=())), 8000, UsageError, "could not read"),
        (changed("0.2.0", state=StateForm(form=1, schema="0002", kinds=("new",))), 8000, UsageError, "could not read"),
    ],
    ids=["same", "older", "large", "files", "tables", "records"],
)
def test_what_cannot_be_taken_back_is_not_begun(new: Manifest, room: int, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        admit(new, manifest_of("0.1.0"), room)


def test_a_version_that_writes_less_can_be_left() -> None:
    check_way_back(writes=changed("0.2.0", state=StateForm(form=1, schema="0001", kinds=())), reads=changed("0.1.0"))
