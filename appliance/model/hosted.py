"""Container hosts: machines on which podman runs applications, and which versions were seen to be well there."""

import re
from dataclasses import dataclass
from typing import Literal

from appliance.errors import SiteError
from appliance.model.application import APP_NAME, AppName
from appliance.model.cluster import SetRef

_REGISTRY = re.compile(r"[a-z0-9.-]{1,253}:\d{1,5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedSpec:
    """One version of an application on one host, from the artifact set `package`. `registry` is HOST:PORT of where its
    images come from. `heals`: what others change of it is changed back, and not told alone."""

    name: AppName
    package: SetRef
    registry: str
    heals: bool = True

    def __post_init__(self) -> None:
        if not APP_NAME.fullmatch(self.name):
            raise _refused(self.name, "the name of an application", "lower-case letters, digits and dashes")
        _check_registry(self.registry)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosted:
    """A version that was seen to be well since `since` (seconds since the epoch)."""

    app: HostedSpec
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerHost:
    """As what a machine is prepared: podman from that set, images from that registry (HOST:PORT), and what runs."""

    set: SetRef
    registry: str
    applications: tuple[Hosted, ...] = ()

    def running(self, name: AppName) -> HostedSpec | None:
        return next((one.app for one in self.applications if one.app.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareHost:
    """Podman in that version is on the machine, and takes images from that registry (HOST:PORT) and nowhere else."""

    set: SetRef
    registry: str
    action: Literal["prepare-host"] = "prepare-host"

    def __post_init__(self) -> None:
        _check_registry(self.registry)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployHosted:
    """This version is what runs on the machine, is well by its own test, and nothing of another version is left but
    what it keeps on volumes."""

    app: HostedSpec
    action: Literal["deploy-hosted"] = "deploy-hosted"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetireHosted:
    """Nothing of it is left on the machine; its volumes are if `keeps_data`."""

    app: HostedSpec
    keeps_data: bool = True
    action: Literal["retire-hosted"] = "retire-hosted"


HostAction = PrepareHost | DeployHosted | RetireHosted


def _check_registry(registry: str) -> None:
    if not _REGISTRY.fullmatch(registry):
        raise _refused(registry, "a registry", "HOST:PORT")


def _refused(text: str, what: str, form: str) -> SiteError:
    return SiteError(f"{text[:70]!r} cannot be {what}", next_action=f"state it as {form}, at most 40 characters")
