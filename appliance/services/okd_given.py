"""Hands out what a machine of an OKD cluster boots with, to the boot that may have it. Called from HTTP threads."""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.model.ids import Nonce
from appliance.okd import ignition
from appliance.okd.ignition import Ear, is_single
from appliance.plan import RunInstaller
from appliance.ports import Clock
from appliance.services.okd_keys import OkdKeys


@dataclass(frozen=True, slots=True)
class OkdGiven:
    keys: OkdKeys
    clock: Clock

    def files(self, do: RunInstaller, nonce: Nonce, origin: str) -> Mapping[str, bytes]:
        """By name, below /install/NONCE/. Raises `InnervateError`."""
        assert do.okd is not None  # noqa: S101  others are answered elsewhere
        host = next(one for one in do.okd.hosts if one.name == do.hostname)
        ear = Ear(tell=f"{origin}/install/{nonce}", report=f"{origin}/report", nonce=nonce)
        given = self.keys.given(do.okd, host.role, self.clock.now())
        single = is_single(do.okd)
        live = ignition.live_config(do.okd, host, ear, given if single else None)
        node = {} if single else {ignition.NODE: ignition.node_config(do.okd, host, ear, given).text.encode()}
        return {ignition.LIVE: live.text.encode(), **node}
