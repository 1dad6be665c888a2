"""SmokeTest: every installed machine does what an installed machine must; only then is it finished."""

from dataclasses import dataclass, field
from typing import Protocol

from appliance.capabilities import BareMachines, Shell
from appliance.inventory.model import Inventory, MachineRecord
from appliance.plan import ConfirmShell, Deferred, Plan, ShellCheck, Step
from appliance.scores.install_linux import NAME as INSTALL
from appliance.scores.score import step_id

NAME = "smoke-test"
SMOKE_SECONDS = 600.0

DEFAULT_CHECKS = (
    ShellCheck(name="ssh", argv=("systemctl", "is-active", "ssh"), expected="active"),
    ShellCheck(name="root file system", argv=("findmnt", "-no", "FSTYPE", "/"), expected="ext4"),
)


class SmokeNeeds(BareMachines, Shell, Protocol): ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeTest:
    """`checks` run on each machine, after one that its host name is its own."""

    checks: tuple[ShellCheck, ...] = DEFAULT_CHECKS
    name: str = field(default=NAME, init=False)

    def plan(self, site: SmokeNeeds, inventory: Inventory) -> Plan:
        everyone = [inventory.record(name) for name in site.machines]
        records = [record for record in everyone if record.role or not inventory.by_role]
        waiting = [record for record in records if not _is_passed(record)]
        return Plan(
            site=self.name,
            steps=tuple(self._step(site, record) for record in waiting if record.facts is not None),
            deferred=tuple(
                Deferred(
                    score=self.name, reason=f"{record.name}: nothing is installed and its hardware is not known yet"
                )
                for record in waiting
                if record.facts is None
            ),
        )

    def _step(self, site: SmokeNeeds, record: MachineRecord) -> Step:
        own_name = ShellCheck(name="host name", argv=("hostname",), expected=record.name)
        do = ConfirmShell(user=site.shell.user, checks=(own_name, *self.checks))
        return Step(
            id=step_id(self.name, record.name, do.action),
            machine=record.name,
            score=self.name,
            summary=f"smoke test {record.name}: {', '.join(check.name for check in do.checks)}",
            do=do,
            budget=SMOKE_SECONDS,
            needs=(step_id(INSTALL, record.name, do.action),),
        )


def _is_passed(record: MachineRecord) -> bool:
    return record.installed is not None and record.installed.smoke_passed
