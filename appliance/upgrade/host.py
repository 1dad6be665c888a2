"""The three errands of the upgrade on the appliance itself: what a boot means, a trial, an order of the daemon."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from appliance.client import Client
from appliance.config import load
from appliance.errors import InnervateError, MachineryError, NotFoundError
from appliance.model.upgrade_views import Outcome, Stage
from appliance.ports import Clock
from appliance.upgrade.board import Board, slots_of
from appliance.upgrade.boot import Boot
from appliance.upgrade.decision import FellBack, Normal, OnTrial, admit, check_way_back, meaning_of
from appliance.upgrade.health import Signs, faults_of, ports_of
from appliance.upgrade.ports import Disk
from appliance.upgrade.spool import Order, Spool
from appliance.upgrade.writing import arm, content_of, fill
from images import grubenv
from images.bundle import Manifest, examine, open_bundle
from images.errors import ImagesError
from images.grubenv import Environment, Slot
from images.signature import read_public

CONFIG = Path("/data/config/innervate.toml")
KEY = Path("/usr/share/innervate/innervate.pub")
# Of the first process: the units that ask have no network of their own.
_PROC = Path("/proc/1/net")
_PACE = 2.0
_ANSWER_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    boot: Boot
    disk: Disk
    board: Board
    spool: Spool
    clock: Clock
    wait: Callable[[float], None]
    restart: Callable[[], None]
    say: Callable[[str], None]
    signs: Callable[[], Signs]
    keep: Callable[[], None]
    key: Path = KEY

    def settle(self) -> None:
        """At every boot: says what runs, and what became of a trial that did not stay. Raises `InnervateError`."""
        running = self.boot.running
        found = grubenv.read(self.disk.environment())
        match meaning_of(found, running):
            case Normal(environment=environment):
                stage = Stage.IDLE
                if environment is not None:
                    self.disk.set_environment(grubenv.block(environment))
            case OnTrial():
                stage = Stage.TRIAL
                self.board.forget_reason()
            case FellBack(failed=failed, environment=environment):
                stage = Stage.IDLE
                why = self.board.reason() or "it did not come up"
                self._end(
                    f"{self._name(failed)} was tried and did not stay: {why}; {self._name(running)} runs again",
                    kept=False,
                )
                self.disk.set_environment(grubenv.block(environment))
            case never:
                assert_never(never)
        self.say(f"Innervate: {self._name(running)}{', on trial' if stage is Stage.TRIAL else ''}")
        self._show(stage, found.good if found else running)

    def prove(self) -> bool:
        """A version on trial: is it healthy in time? It is good then. Raises `InnervateError`."""
        running = self.boot.running
        if not isinstance(meaning_of(grubenv.read(self.disk.environment()), running), OnTrial):
            return True
        while faults := faults_of(self.signs()):
            why = "; ".join(faults)
            self.board.complain(why)
            if self.clock.monotonic() > self.boot.patience:
                self.say(f"{self._name(running)} is not healthy: {why}. The version before it is started.")
                return False
            self.wait(_PACE)
        self.disk.set_environment(grubenv.block(Environment(good=running)))
        self._end(f"{self._name(running)} is healthy, and stays", kept=True)
        self._show(Stage.IDLE, running)
        return True

    def obey(self) -> None:
        """What the daemon has asked for. A refusal is shown, not raised."""
        try:
            match self.spool.take_order():
                case Order.UPGRADE:
                    self._upgrade()
                case Order.ROLLBACK:
                    self._roll_back()
                case None:
                    return
                case never:
                    assert_never(never)
        except (InnervateError, ImagesError) as error:
            said = "; ".join(filter(None, (str(error), error.evidence, error.next_action)))
            self.say(said)
            self.board.show(Stage.FAILED, said, slots=slots_of(self.disk, self.boot.running, self.boot.running))

    def _upgrade(self) -> None:
        running, key = self.boot.running, read_public(self.key.read_text())
        with self.spool.bundle() as file:
            self._tell("examining the bundle")
            new = examine(file, key)
            admit(new, self._runs(), self.disk.room(running.other))
            file.seek(0)
            # Read again, and believed again: the file is not ours.
            fill(self.disk, running, open_bundle(file, key), file, self._tell)
        self._switch(new.name)

    def _roll_back(self) -> None:
        other = content_of(self.disk, self.boot.running.other)
        if other is None:
            raise NotFoundError("the other slot holds no version", next_action="upgrade with a bundle instead")
        check_way_back(writes=self._runs(), reads=other)
        self._switch(other.name)

    def _switch(self, name: str) -> None:
        self._tell("keeping the state as it is")
        self.keep()
        arm(self.disk, self.boot.running)
        self.board.show(Stage.RESTARTING, f"the appliance restarts, and tries version {name}")
        self.restart()

    def _tell(self, text: str) -> None:
        self.say(text)
        self.board.show(Stage.WORKING, text)

    def _end(self, text: str, *, kept: bool) -> None:
        self.say(text)
        self.board.end(Outcome(time=self.clock.now(), kept=kept, text=text))
        self.board.forget_reason()

    def _show(self, stage: Stage, good: Slot) -> None:
        self.board.show(stage, slots=slots_of(self.disk, self.boot.running, good))

    def _runs(self) -> Manifest:
        if (found := content_of(self.disk, self.boot.running)) is None:
            action = "write the disk image anew, with a backup of the state"
            raise MachineryError("the running slot does not say what it is", next_action=action)
        return found

    def _name(self, slot: Slot) -> str:
        found = content_of(self.disk, slot)
        return f"version {found.name} in slot {slot.value}" if found else f"slot {slot.value}"


def signs(config: Path = CONFIG) -> Signs:
    """Asked of the daemon as anybody would ask it, and of the kernel."""
    try:
        client = Client(load(config).socket, timeout=_ANSWER_SECONDS)
        if not client.health().ready:
            return Signs(fault="the daemon is not ready")
        client.latest_events(limit=1)
        modes = tuple(network.mode for network in client.networks().networks)
    except InnervateError as error:
        return Signs(fault=f"{error} ({error.evidence})" if error.evidence else str(error))
    udp, tcp = ((_PROC / name).read_text() for name in ("udp", "tcp"))
    return Signs(modes=modes, udp=ports_of(udp, udp=True), tcp=ports_of(tcp, udp=False))
