"""As what a machine hosts containers after a step of it was done. Pure."""

from dataclasses import replace
from typing import assert_never

from appliance.model.hosted import ContainerHost, DeployHosted, HostAction, Hosted, PrepareHost, RetireHosted


def done(do: HostAction, host: ContainerHost | None, now: float) -> ContainerHost | None:
    """None where it is none: whose disk was written meanwhile was prepared in vain."""
    match do:
        case PrepareHost(set=artifacts, registry=registry):
            running = host.applications if host is not None else ()
            return ContainerHost(set=artifacts, registry=registry, applications=running)
        case DeployHosted(app=app):
            return _with(host, do, Hosted(app=app, since=now))
        case RetireHosted():
            return _with(host, do)
        case _:
            assert_never(do)


def _with(host: ContainerHost | None, do: DeployHosted | RetireHosted, *own: Hosted) -> ContainerHost | None:
    if host is None:
        return None
    others = [one for one in host.applications if one.app.name != do.app.name]
    return replace(host, applications=tuple(sorted((*others, *own), key=lambda one: one.app.name)))
