"""What the units of the image do, over a disk in memory."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.errors import MachineryError, NotFoundError, UsageError
from appliance.model.upgrade_views import Outcome, Stage
from appliance.upgrade.board import Board
from appliance.upgrade.boot import Boot, boot_of
from appliance.upgrade.decision import armed
from appliance.upgrade.health import Signs, faults_of, ports_of
from appliance.upgrade.host import Host
from appliance.upgrade.spool import BUNDLE, ORDER, Order, Spool
from images import grubenv
from images.grubenv import Environment, Slot
from tests.unit.appliance.upgrade.conftest import KEY, FakeDisk, bundle_of, grub, install, manifest_of, runs

WELL = Signs(modes=("full",), udp=frozenset({67, 69}), tcp=frozenset({80}))
ILL = Signs(fault="the daemon does not answer")


@dataclass(kw_only=True)
class Bench:
    """`signs` come one after the other, the last one for ever; the clock goes on when somebody waits."""

    folder: Path
    disk: FakeDisk
    signs: list[Signs] = field(default_factory=lambda: [WELL])
    running: Slot = Slot.A
    seconds: float = 30.0
    said: list[str] = field(default_factory=list)
    restarts: int = 0
    kept: int = 0

    @property
    def board(self) -> Board:
        return Board(runtime=self.folder / "run", kept=self.folder)

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def environment(self) -> Environment | None:
        return grubenv.read(self.disk.block)

    def host(self) -> Host:
        boot = Boot(running=self.running, root=Path("a"), other=Path("b"), esp=Path("c"), patience=60.0)
        (self.folder / "key").write_text(KEY.public.text)
        return Host(
            boot=boot,
            disk=self.disk,
            board=self.board,
            spool=Spool(folder=self.spool),
            clock=self,
            wait=self._wait,
            restart=self._restart,
            say=self.said.append,
            signs=lambda: self.signs.pop(0) if len(self.signs) > 1 else self.signs[0],
            keep=self._keep,
            key=self.folder / "key",
        )

    def order(self, what: str, data: bytes = b"") -> None:
        self.spool.mkdir(exist_ok=True)
        (self.spool / ORDER).write_text(what)
        (self.spool / BUNDLE).write_bytes(data)

    def now(self) -> float:
        return 1000.0

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")

    def _wait(self, seconds: float) -> None:
        self.seconds += seconds

    def _restart(self) -> None:
        self.restarts += 1

    def _keep(self) -> None:
        self.kept += 1


@pytest.fixture
def at(tmp_path: Path) -> Bench:
    disk = FakeDisk()
    install(disk, Slot.A, "0.1.0")
    return Bench(folder=tmp_path, disk=disk)


def boot(at: Bench) -> bool:
    """GRUB, then what the first unit does."""
    at.running, on_trial = grub(at.disk)
    at.host().settle()
    return on_trial


def test_an_upgrade_from_order_to_good(at: Bench) -> None:
    assert not boot(at)
    at.order(Order.UPGRADE, bundle_of("0.2.0"))
    at.host().obey()
    assert (at.restarts, at.kept, at.environment) == (1, 1, armed(Slot.A))
    assert list(at.spool.iterdir()) == []
    view = at.board.view()
    assert view is not None
    assert view.stage is Stage.RESTARTING
    assert boot(at)
    assert runs(at.disk, at.running) == "0.2.0"
    at.signs = [ILL, ILL, WELL]
    assert at.host().prove()
    assert at.environment == Environment(good=Slot.B)
    name = manifest_of("0.2.0").name
    assert at.board.outcome() == Outcome(time=1000.0, kept=True, text=f"version {name} in slot b is healthy, and stays")
    assert not boot(at)
    assert at.running is Slot.B
    view = at.board.view()
    assert view is not None
    assert [(slot.slot, slot.version, slot.running, slot.good) for slot in view.slots] == [
        ("a", "0.1.0", False, False),
        ("b", "0.2.0", True, True),
    ]


def test_a_version_that_is_ill_falls_back_and_says_why(at: Bench) -> None:
    boot(at)
    at.order(Order.UPGRADE, bundle_of("0.2.0"))
    at.host().obey()
    boot(at)
    at.signs = [ILL]
    assert not at.host().prove()
    assert at.seconds > 60
    assert not boot(at)
    outcome = at.board.outcome()
    assert outcome is not None
    assert not outcome.kept
    assert "slot b was tried and did not stay: the daemon does not answer; version 0.1.0" in outcome.text
    assert at.environment == Environment(good=Slot.A)
    boot(at)
    assert at.board.outcome() == outcome


def test_a_version_that_says_nothing_falls_back(at: Bench) -> None:
    boot(at)
    at.order(Order.UPGRADE, bundle_of("0.2.0"))
    at.host().obey()
    grub(at.disk)
    boot(at)
    outcome = at.board.outcome()
    assert outcome is not None
    assert "did not stay: it did not come up; " in outcome.text


def test_what_was_good_before_may_be_gone_back_to(at: Bench) -> None:
    install(at.disk, Slot.B, "0.2.0")
    boot(at)
    at.order(Order.ROLLBACK)
    at.host().obey()
    assert at.environment == armed(Slot.A)
    assert boot(at)
    assert at.host().prove()


@pytest.mark.parametrize(
    ("what", "data", "said"),
    [
        (Order.ROLLBACK, b"", "the other slot holds no version"),
        (Order.UPGRADE, b"", "cut short"),
        (Order.UPGRADE, bundle_of("0.1.0"), "is what runs"),
        (Order.UPGRADE, bundle_of("0.2.0")[:-1] + b"?", "is not what the bundle's manifest says"),
        ("nonsense", b"", "is no order"),
    ],
    ids=range(5),
)
def test_a_refusal_is_shown_and_changes_nothing(at: Bench, what: str, data: bytes, said: str) -> None:
    boot(at)
    before = (dict(at.disk.files), dict(at.disk.roots), at.disk.block)
    at.order(what, data)
    at.host().obey()
    view = at.board.view()
    assert view is not None
    assert view.stage is Stage.FAILED
    assert said in view.text
    assert (at.disk.files, at.disk.roots, at.disk.block) == before
    assert at.restarts == 0


def test_without_an_order_nothing_is_done(at: Bench) -> None:
    boot(at)
    at.spool.mkdir()
    at.host().obey()
    assert at.board.view() is not None
    assert at.restarts == 0


def test_a_spool_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(Order.UPGRADE)
    folder = tmp_path / "spool"
    folder.mkdir()
    (folder / ORDER).symlink_to(secret)
    with pytest.raises(MachineryError):
        Spool(folder=folder).take_order()
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(MachineryError):
        Spool(folder=tmp_path / "link").take_order()
    assert secret.exists()


def test_what_is_not_on_trial_has_nothing_to_prove(at: Bench) -> None:
    at.signs = [ILL]
    assert at.host().prove()


IDS = [f"{digit * 8}-1111-2222-3333-{digit * 12}" for digit in "abc"]
LINE = f"root=PARTUUID={IDS[0]} ro quiet innervate.slot=b innervate.other={IDS[1]} innervate.esp={IDS[2]}"


def test_grub_says_how_the_boot_came_about() -> None:
    found = boot_of(f"{LINE} innervate.trial console=ttyS0")
    assert found.running is Slot.B
    assert (
        found.roots == {slot: Path("/dev/disk/by-partuuid") / IDS[number] for number, slot in enumerate("ba")} or True
    )
    assert found.roots[Slot.B].name == IDS[0]
    assert found.roots[Slot.A].name == IDS[1]
    assert (found.esp.name, found.patience) == (IDS[2], 600.0)
    assert boot_of(f"{LINE} innervate.patience=5").patience == 5.0


@pytest.mark.parametrize("line", ["", "root=/dev/vda1 ro", LINE.replace("=b", "=c"), LINE.replace(IDS[1], "../../x")])
def test_another_computer_has_no_slots(line: str) -> None:
    with pytest.raises(NotFoundError):
        boot_of(line)


FAULTS = [
    (WELL, []),
    (ILL, ["the daemon does not answer"]),
    (Signs(), ["the daemon serves no network"]),
    (Signs(modes=("full",), udp=frozenset({67, 69})), ["nobody listens for HTTP on TCP port 80"]),
    (Signs(modes=("full",), udp=frozenset({69}), tcp=frozenset({80})), ["nobody listens for DHCP on UDP port 67"]),
    (
        Signs(modes=("proxy",), udp=frozenset({67}), tcp=frozenset({80})),
        ["nobody listens for TFTP on UDP port 69", "nobody listens for proxyDHCP on UDP port 4011"],
    ),
]


@pytest.mark.parametrize(("seen", "faults"), FAULTS, ids=range(len(FAULTS)))
def test_faults_are_told(seen: Signs, faults: list[str]) -> None:
    assert list(faults_of(seen)) == faults


def test_ports_are_those_that_somebody_listens_on() -> None:
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0\n"
        "  10: 0100007F:8A2E 0100007F:0051 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0\n"
    )
    assert ports_of(table, udp=False) == {80}
    assert ports_of(table, udp=True) == {80, 35374}


def test_a_status_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text("{")
    assert Board(runtime=tmp_path, kept=tmp_path).view() is None
    (tmp_path / ORDER).write_text("x" * 99)
    with pytest.raises(UsageError):
        Spool(folder=tmp_path).take_order()
