"""An installer from its start to its last word: what is decided, what is folded, what boots, who may speak."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from appliance.boot import Ramdisk, Snapshot, intent_for
from appliance.conductor.decision import Ask, AskConsole, Failed, Heard
from appliance.conductor.handlers import decide
from appliance.conductor.installing import Installing
from appliance.conductor.machine import MachineState, failed, observed, started
from appliance.conductor.runs import Attempt, SentOrder
from appliance.inventory.identity import Identities
from appliance.lab.topology import lab_rack
from appliance.model.bmc import PowerState
from appliance.model.ids import Fence, ImageName, MachineName, Nonce, RunId
from appliance.model.phase import Phase
from appliance.model.site import BootNetwork
from appliance.model.step import StepKind
from appliance.plan import AnswerKind, BootDisk, DiskRef, InstallerRef, RunInstaller
from appliance.services.installers import InstallDesk
from appliance.store.records import InstallerSeen, InstallerStage, Problem, StepIntent
from images.agent.disks import FINGERPRINT_BYTES
from pxe.boot import LocalDisk, RunKernel, Wait
from pxe.http.responder import HttpReply, HttpRequest
from tests.unit.appliance.conductor.test_handlers import (
    BEGAN,
    DISK_BOOT,
    NETWORK,
    ON,
    REPORT,
    RESTART,
    STEP,
    power,
    said,
    sent,
    view,
)

NODE, NONCE = MachineName("node-0"), Nonce("n" * 32)
DISK = DiskRef(serial="DISK0001", wwn="", size_bytes=4 << 30, contents="gpt:aa")
REF = InstallerRef(
    name=ImageName("debian-12-installer"),
    answers=AnswerKind.PRESEED,
    kernel_sha256="aa" * 32,
    initrd_sha256="bb" * 32,
    files_sha256="cc" * 32,
    raw_bytes=2 << 30,
    kernel_package="linux-image-amd64",
)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBQ1Ctl0oCSIvIZYbtdxvWEjYC3x5mDSbKKzLkSKSSPX operator@desk"
DO = RunInstaller(installer=REF, disk=DISK, hostname="node-0", domain="rack.test", authorized_keys=(KEY,))
RUN = RunId("r")
RAMDISK = Ramdisk(
    kernel="/artifact/k", initrd="/artifact/i", server_url="http://10.77.0.1", arguments=("console=ttyS0",)
)
EMPTY, FOREIGN = bytes(FINGERPRINT_BYTES), b"\1" * FINGERPRINT_BYTES
STAGES = InstallerStage


def at_work(nonce: Nonce = NONCE, before: MachineState | None = None) -> MachineState:
    """A machine whose installer step has just begun under this nonce."""
    attempt = Attempt(step=STEP.id, run=RUN, fence=Fence(1), nonce=nonce, started=BEGAN)
    state = replace(before or MachineState(name=NODE), attempt=attempt)
    intent = StepIntent(run=RUN, step=STEP.id, machine=NODE, kind=StepKind.DESTRUCTIVE, fence=Fence(1), nonce=nonce)
    return started(state, DO, intent, None, BEGAN)


def heard(*stages: InstallerStage, at: float = BEGAN + 60, state: MachineState | None = None) -> MachineState:
    state = state or at_work()
    for stage in stages:
        state = observed(state, InstallerSeen(machine=NODE, nonce=NONCE, stage=stage, detail=f"its {stage.value}"), at)
    return state


def console(said: str) -> Heard:
    return Heard(question=AskConsole(), at=BEGAN, answer=said)


STARTED = (sent(NETWORK), sent(ON))
TWICE = (*STARTED, sent(NETWORK, BEGAN + 1000), sent(RESTART, BEGAN + 1000))


@pytest.mark.parametrize(
    ("state", "orders", "now", "expected"),
    [
        (at_work(), (), 0, "boot once network"),
        (at_work(), (sent(NETWORK),), 0, "tell on"),
        (at_work(), STARTED, 30, "wait 810"),
        (at_work(), STARTED, 811, "boot once network"),
        (heard(STAGES.ANSWERS), STARTED, 61, "wait 960"),
        (heard(STAGES.ANSWERS, STAGES.DISK, STAGES.WORD), STARTED, 959, "wait 960"),
        (heard(STAGES.ANSWERS, STAGES.WORD), STARTED, 961, "boot once network"),
        (heard(STAGES.ANSWERS, STAGES.WORD), TWICE, 1001, "wait 1810"),
        (heard(STAGES.ANSWERS, STAGES.WORD), TWICE, 1811, "failed installer-silent"),
        (heard(STAGES.ANSWERS, STAGES.WORD, at=BEGAN + 1500), TWICE, 1900, "wait 2400"),
        (at_work(), TWICE, 1811, "failed installer-silent"),
        (heard(STAGES.ANSWERS, STAGES.FAILED), STARTED, 61, "failed installer-failed"),
        (heard(STAGES.ANSWERS, STAGES.DISK, STAGES.DONE), STARTED, 61, "done"),
    ],
)
def test_what_is_done_next(state: MachineState, orders: tuple[SentOrder, ...], now: float, expected: str) -> None:
    seen = view(DO, state=state, orders=orders, heard=(power(PowerState.OFF, BEGAN + 1), console("")))
    budget = replace(seen.step, budget=10800.0)
    assert said(decide(replace(seen, step=budget), BEGAN + now)) == expected


@pytest.mark.parametrize(
    ("heard_of_it", "evidence"),
    [
        ((), None),
        ((console(""),), "nothing"),
        ((console("Kernel panic"),), "nothing; its console said last: Kernel panic"),
    ],
)
def test_of_one_that_says_nothing_the_console_is_asked(heard_of_it: tuple[Heard, ...], evidence: str | None) -> None:
    seen = view(DO, state=at_work(), orders=TWICE, heard=(power(PowerState.OFF, BEGAN + 1), *heard_of_it))
    decision = decide(replace(seen, step=replace(seen.step, budget=10800.0)), BEGAN + 1811)
    if evidence is None:
        assert decision == Ask(question=AskConsole(), why="reading what its serial console said last")
    else:
        assert isinstance(decision, Failed)
        assert decision.problem.evidence == f"seen since power-on: {evidence}"


def test_where_it_hangs_is_said() -> None:
    decision = decide(view(DO, state=heard(STAGES.ANSWERS, STAGES.WORD), orders=STARTED), BEGAN + 61)
    assert "its last word: its word" in getattr(decision, "why", "")


@pytest.mark.parametrize(
    ("state", "orders", "now", "expected"),
    [
        (MachineState(name=NODE), (), 0, "wait 810"),
        (MachineState(name=NODE), (), 811, "boot once disk"),
        (MachineState(name=NODE), (sent(DISK_BOOT),), 811, "tell force-restart"),
        (MachineState(name=NODE, first_boot=REPORT, seed_nonce=Nonce("seed")), (), 0, "done"),
    ],
)
def test_the_machine_restarts_by_itself(
    state: MachineState, orders: tuple[SentOrder, ...], now: float, expected: str
) -> None:
    boot = BootDisk(disk=DISK, image=REF, by_itself=True)
    assert said(decide(view(boot, state=state, orders=orders), BEGAN + now)) == expected


def test_it_boots_the_installer_until_that_is_done_and_then_its_disk() -> None:
    intent = intent_for(heard(STAGES.ANSWERS, STAGES.DISK), RAMDISK)
    assert intent == RunKernel(
        kernel=f"/artifact/{'aa' * 32}",
        initrd=f"/artifact/{'bb' * 32}",
        arguments=(
            "auto=true",
            "priority=critical",
            "DEBIAN_FRONTEND=text",
            "interface=auto",
            "netcfg/no_default_route=true",
            "netcfg/get_nameservers=10.77.0.1",
            "hostname=node-0",
            "domain=rack.test",
            f"url=http://10.77.0.1/install/{NONCE}/preseed.cfg",
            "---",
            "console=ttyS0",
        ),
        attempt=NONCE,
    )
    assert intent_for(heard(STAGES.ANSWERS, STAGES.DISK, STAGES.DONE), RAMDISK) == LocalDisk()


def test_what_is_done_stays_done_when_the_step_is_taken_up_again() -> None:
    done = heard(STAGES.ANSWERS, STAGES.DISK, STAGES.DONE)
    again = at_work(before=done)
    assert intent_for(again, RAMDISK) == LocalDisk()
    assert intent_for(at_work(Nonce("m" * 32), done), RAMDISK) != LocalDisk()


@pytest.mark.parametrize("end", ["failed", "cancelled", "gave up"])
def test_a_machine_whose_step_has_ended_does_not_install_again(end: str) -> None:
    state = heard(STAGES.ANSWERS, *((STAGES.FAILED,) if end == "gave up" else ()))
    if end == "cancelled":
        state = replace(state, attempt=None)
    elif end == "failed":
        state = failed(replace(state, attempt=None), STEP, Problem(code="budget", message="late"), BEGAN)
    assert isinstance(intent_for(state, RAMDISK), Wait)


def test_the_words_of_another_boot_change_nothing() -> None:
    state = at_work(Nonce("m" * 32))
    assert heard(STAGES.DONE, state=state) == state
    assert state.phase is Phase.DEPLOYING


class Ear:
    def __init__(self) -> None:
        self.told: list[tuple[InstallerStage, str]] = []
        self.logged: list[tuple[int, bytes]] = []
        self.refusals: list[str] = []

    def installer(self, _machine: MachineName, _nonce: Nonce, stage: InstallerStage, detail: str) -> None:
        self.told.append((stage, detail))

    def log(self, _machine: MachineName, offset: int, text: bytes) -> None:
        self.logged.append((offset, text))

    def refused(self, _client: IPv4Address, why: str) -> None:
        self.refusals.append(why)


class Clock:
    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        return self.at


class Desk:
    def __init__(self, state: MachineState) -> None:
        self.ear, self.clock, self.state = Ear(), Clock(), state
        network: BootNetwork = lab_rack().boot_network
        self._desk = InstallDesk(self.snapshot, self.ear, "http://10.77.0.1", network, self.clock)

    def snapshot(self) -> Snapshot:
        return Snapshot.of([self.state], Identities(), {}, RAMDISK)

    def ask(self, method: str, name: str, body: bytes = b"", nonce: str = NONCE, **query: str) -> HttpReply:
        path, client = f"/install/{nonce}/{name}", IPv4Address("10.77.0.51")
        request = HttpRequest(client=client, method=method, path=path, query=query, headers={}, body=body)
        return self._desk.handle(request)


def test_answers_are_for_one_boot() -> None:
    desk = Desk(at_work())
    reply = desk.ask("GET", "preseed.cfg")
    assert (reply.status, b"d-i mirror/http/directory string /artifact/" + b"cc" * 32 in reply.body) == (200, True)
    assert desk.ear.told == [(STAGES.ANSWERS, "answers to 10.77.0.51, nonce nnnnnnnn")]
    assert desk.ask("GET", "disk").body == b"DISK0001\n\n4294967296\n"
    assert desk.ask("GET", "authorized_keys").body == KEY.encode() + b"\n"
    assert desk.ask("GET", "../preseed.cfg").status == 404
    assert desk.ask("GET", "preseed.cfg", nonce="m" * 32).status == 410
    desk.state = heard(STAGES.DONE)
    assert desk.ask("GET", "preseed.cfg").status == 410
    assert len(desk.ear.refusals) == 1


def test_hostile_values_never_reach_an_answer() -> None:
    state = at_work()
    assert state.installing is not None
    hostile = replace(DO, installer=replace(REF, kernel_package="linux\nd-i preseed/late_command string reboot"))
    desk = Desk(replace(state, installing=replace(state.installing, do=hostile)))
    assert desk.ask("GET", "preseed.cfg").status == 500
    assert desk.ear.told[0][0] is STAGES.FAILED


@pytest.mark.parametrize(
    ("disk", "start", "again", "status"),
    [
        ({"serial": "DISK0001", "size": str(4 << 30)}, EMPTY, False, 503),
        ({"serial": "DISK0001", "size": str(4 << 30)}, EMPTY, True, 204),
        ({"serial": "DISK0001", "size": str(4 << 30)}, FOREIGN, False, 403),
        ({"serial": "DISK0001", "size": str(4 << 30)}, FOREIGN, True, 204),
        ({"serial": "DISK0002", "size": str(4 << 30)}, EMPTY, True, 403),
        ({"serial": "", "size": str(4 << 30)}, EMPTY, False, 403),
        ({"serial": "DISK0001", "size": str(8 << 30)}, EMPTY, False, 403),
        ({"serial": "DISK0001", "size": "many"}, EMPTY, False, 403),
        ({"serial": "DISK0001", "size": str(4 << 30)}, EMPTY[:-1], False, 403),
    ],
)
def test_it_is_let_at_the_disk_of_the_plan_alone(disk: dict[str, str], start: bytes, again: bool, status: int) -> None:
    desk = Desk(heard(STAGES.ANSWERS, *((STAGES.DISK,) if again else ())))
    assert desk.ask("POST", "disk", start, **disk).status == status
    expected = {503: [STAGES.DISK], 204: [], 403: [STAGES.FAILED]}[status]
    assert [stage for stage, _ in desk.ear.told] == expected


def test_a_new_attempt_at_the_same_step_may_go_on_with_its_own_disk() -> None:
    before = heard(STAGES.ANSWERS, STAGES.DISK)
    again = at_work(Nonce("m" * 32), before)
    assert again.installing is not None
    assert again.installing.granted
    other = replace(before, installing=replace(before.installing or Installing(do=DO, task="", nonce=NONCE), task="x"))
    fresh = at_work(Nonce("m" * 32), other)
    assert fresh.installing is not None
    assert not fresh.installing.granted


def test_its_end_is_answered_when_it_is_on_record() -> None:
    desk = Desk(heard(STAGES.ANSWERS, STAGES.DISK))
    assert desk.ask("POST", "done", b"installed").status == 503
    assert desk.ear.told == [(STAGES.DONE, "installed")]
    desk.state = replace(heard(STAGES.ANSWERS, STAGES.DISK, STAGES.DONE), attempt=None)
    assert desk.ask("POST", "done", b"installed").status == 204
    assert len(desk.ear.told) == 1


def test_words_are_counted_not_collected() -> None:
    desk = Desk(at_work())
    words = ((0, "bootstrap-base: a"), (5, "bootstrap-base: b"), (10, "pkgsel: c"), (69, "pkgsel: d"))
    for at, word in (*words, (71, "pkgsel: \x1b[2Je")):
        desk.clock.at = at
        assert desk.ask("POST", "word", word.encode()).status == 204
    assert [detail for _, detail in desk.ear.told] == ["bootstrap-base: a", "pkgsel: c", "pkgsel: e"]
    assert desk.ask("POST", "log", b"line\n", offset="17").status == 204
    assert desk.ask("POST", "log", b"line\n", offset="-1").status == 400
    assert desk.ear.logged == [(17, b"line\n")]
