"""A BMC without a machine, for tests and rehearsals: what it is told, it does at once, unless told to fail."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import assert_never

from appliance.bmc.port import Bmc
from appliance.errors import BmcError
from appliance.model.bmc import BmcEndpoint, BootTarget, PowerCommand, PowerState, SystemIdentity


def _nothing(_command: PowerCommand) -> None:
    pass


class FakeBmc:
    """Implements `appliance.bmc.port.Bmc`.

    `commands` are those accepted, in order; `boots` what each boot was told to boot from; `failures` are raised
    by the next operations, one each. `on_command` is called after a command took effect.
    `deaf` accepts commands and does nothing: the BMC that lies.
    """

    def __init__(self, identity: SystemIdentity, on_command: Callable[[PowerCommand], None] = _nothing) -> None:
        self.identity = identity
        self.on_command = on_command
        self.commands: list[PowerCommand] = []
        self.boots: list[BootTarget] = []
        self.failures: deque[BmcError] = deque()
        self.deaf = False
        self.closed = False
        self._override = BootTarget.NONE

    @property
    def power(self) -> PowerState:
        return self.identity.power

    def set_power(self, power: PowerState) -> None:
        """As if the machine itself had done it."""
        self.identity = replace(self.identity, power=power)

    async def identify(self) -> SystemIdentity:
        self._fail()
        return self.identity

    async def power_state(self) -> PowerState:
        self._fail()
        return self.power

    async def command(self, command: PowerCommand) -> None:
        self._fail()
        self.commands.append(command)
        if not self.deaf:
            self._obey(command)
        self.on_command(command)

    async def set_boot_once(self, target: BootTarget) -> BootTarget:
        self._fail()
        if not self.deaf:
            self._override = target
        return self._override

    async def boot_override(self) -> BootTarget:
        self._fail()
        return self._override

    async def close(self) -> None:
        self.closed = True

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.popleft()

    def _obey(self, command: PowerCommand) -> None:
        match command:
            case PowerCommand.ON if self.power is PowerState.ON:
                pass
            case PowerCommand.ON | PowerCommand.GRACEFUL_RESTART | PowerCommand.FORCE_RESTART | PowerCommand.CYCLE:
                self._boot()
            case PowerCommand.FORCE_OFF | PowerCommand.GRACEFUL_OFF:
                self.set_power(PowerState.OFF)
            case PowerCommand.NMI:
                pass
            case _:
                assert_never(command)

    def _boot(self) -> None:
        self.set_power(PowerState.ON)
        self.boots.append(self._override)
        self._override = BootTarget.NONE


class FakeDialler:
    """Implements `appliance.bmc.port.BmcDialler` over fakes by their endpoint's URL; others cannot be reached."""

    def __init__(self, bmcs: Mapping[str, FakeBmc]) -> None:
        self._bmcs = bmcs

    def dial(self, endpoint: BmcEndpoint) -> Bmc:
        if endpoint.url not in self._bmcs:
            raise BmcError(f"{endpoint.url} cannot be reached", next_action="check the BMC's address")
        return self._bmcs[endpoint.url]

    async def close(self) -> None:
        for bmc in self._bmcs.values():
            await bmc.close()
