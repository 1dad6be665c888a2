"""Applications: what is wanted of one on a cluster, and what runs there."""

import re
from dataclasses import dataclass
from typing import Literal, NewType

from appliance.errors import SiteError
from appliance.model.cluster import ClusterSpec, SetRef

AppName = NewType("AppName", str)
APP_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSpec:
    """One version of an application, from the artifact set `package`, in a namespace of a cluster. `heals`: what others
    change of it is changed back, and not told alone."""

    name: AppName
    package: SetRef
    namespace: str
    heals: bool = True

    def __post_init__(self) -> None:
        for text in (self.name, self.namespace):
            if not APP_NAME.fullmatch(text):
                raise SiteError(
                    f"{text[:70]!r} cannot be the name of an application or its namespace",
                    next_action="use lower-case letters, digits and dashes, at most 40 characters",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployApplication:
    """This version is what runs, is well by its own test, and nothing of another version is left."""

    cluster: ClusterSpec
    app: AppSpec
    action: Literal["deploy-application"] = "deploy-application"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetireApplication:
    """Nothing of it is left in the cluster; its data are if `keeps_data`."""

    cluster: ClusterSpec
    app: AppSpec
    keeps_data: bool = True
    action: Literal["retire-application"] = "retire-application"


AppAction = DeployApplication | RetireApplication


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """A version that was seen to be well since `since` (seconds since the epoch)."""

    cluster: ClusterSpec
    app: AppSpec
    since: float
