"""As what a machine hosts containers after each step, and after its disk was written to."""

from dataclasses import replace

import pytest

from appliance.conductor.hosting import done
from appliance.model.application import AppName
from appliance.model.cluster import SetRef
from appliance.model.hosted import (
    ContainerHost,
    DeployHosted,
    HostAction,
    Hosted,
    HostedSpec,
    PrepareHost,
    RetireHosted,
)
from images.engine import Engine

REGISTRY = "10.77.0.1:5000"
PODMAN = SetRef(name="podman-5.4.2-amd64", engine=Engine.PODMAN, version="5.4.2", sha256="a" * 64)
NEWER = replace(PODMAN, name="podman-5.5.0-amd64", version="5.5.0", sha256="b" * 64)
WEB = SetRef(name="web-1.0.0-amd64", engine=Engine.APPLICATION, version="1.0.0", sha256="c" * 64)
ONE = HostedSpec(name=AppName("web"), package=WEB, registry=REGISTRY)
TWO = replace(ONE, package=replace(WEB, name="web-1.1.0-amd64", version="1.1.0", sha256="d" * 64))
OTHER = Hosted(app=replace(ONE, name=AppName("api")), since=1.0)
HOST = ContainerHost(set=PODMAN, registry=REGISTRY, applications=(OTHER,))
BOTH = replace(HOST, applications=(OTHER, Hosted(app=ONE, since=2.0)))


@pytest.mark.parametrize(
    ("do", "before", "after"),
    [
        (PrepareHost(set=PODMAN, registry=REGISTRY), None, replace(HOST, applications=())),
        (PrepareHost(set=NEWER, registry=REGISTRY), HOST, replace(HOST, set=NEWER)),
        (DeployHosted(app=ONE), None, None),
        (DeployHosted(app=ONE), HOST, replace(HOST, applications=(OTHER, Hosted(app=ONE, since=9.0)))),
        (DeployHosted(app=TWO), BOTH, replace(HOST, applications=(OTHER, Hosted(app=TWO, since=9.0)))),
        (RetireHosted(app=ONE), BOTH, HOST),
        (RetireHosted(app=ONE), None, None),
    ],
)
def test_after_a_step(do: HostAction, before: ContainerHost | None, after: ContainerHost | None) -> None:
    assert done(do, before, 9.0) == after


def test_what_runs_is_known_by_its_name() -> None:
    assert BOTH.running(AppName("web")) == ONE
    assert HOST.running(AppName("web")) is None
