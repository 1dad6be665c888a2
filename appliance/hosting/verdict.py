"""What is thought of an application on a host, by what the host says. Pure. Every sentence is "" for nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.apps.verdict import State
from appliance.hosting.engine import FOLDER
from appliance.hosting.units import CONTAINER, NETWORK, VOLUME, Unit
from appliance.hosting.words import Service, Sight
from appliance.model.application import AppName
from appliance.model.text import clean
from images.application.description import REPOSITORIES

SETTLED = 5.0
"""Seconds for which a service has to be active: one that ends at once and is started again looks well in between."""
_SHOWN = 3
_KINDS = (f".{CONTAINER}", f".{NETWORK}", f".{VOLUME}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`why` is "" for what is well."""

    state: State
    why: str = ""


def clash(name: AppName, units: Sequence[Unit], seen: Sight) -> str:
    """What on the host has the name of one of these units, and is not the application's."""
    own = f"{FOLDER}{name}/"
    for unit in units:
        for path in sorted(seen.files):
            if path.endswith(f"/{unit.file}") and not path.startswith(own):
                return f"the host has a unit {unit.file} already: {clean(path, 200)}"
        service = seen.services.get(unit.service)
        if service is not None and service.load == "loaded" and not service.source.startswith(own):
            return f"the host has a service {unit.service} already, which is not podman's"
    return ""


def changed(name: AppName, units: Sequence[Unit], seen: Sight) -> str:
    """Which of its unit files are not what they should be."""
    own = f"{FOLDER}{name}/"
    there = {path.removeprefix(own): digest for path, digest in seen.files.items() if path.startswith(own)}
    wanted = {unit.file: unit.sha256 for unit in units}
    odd = [f"{file} is not there" for file in sorted(wanted.keys() - there.keys())]
    odd += [f"{file} is another" for file in sorted(wanted.keys() & there.keys()) if wanted[file] != there[file]]
    odd += [f"{clean(file, 80)} is nobody's" for file in sorted(there.keys() - wanted.keys()) if file.endswith(_KINDS)]
    return _few(odd)


def stopped(units: Sequence[Unit], seen: Sight) -> str:
    """Which of its containers nobody starts any more."""
    return _few([why for unit in _containers(units) if (why := _ended(unit, seen.services.get(unit.service)))])


def judged(name: AppName, units: Sequence[Unit], seen: Sight) -> Verdict:
    """Whether every container runs, and is healthy where it says how that is found out."""
    failed = [why for unit in _containers(units) if (why := _failed(unit, seen.services.get(unit.service)))]
    if failed:
        return Verdict(state=State.FAILED, why=_few(failed))
    waits = [why for unit in _containers(units) if (why := _waits(name, unit, seen))]
    return Verdict(state=State.WAITS, why=_few(waits)) if waits else Verdict(state=State.WELL)


def left(name: AppName, seen: Sight, *, keeps_data: bool) -> tuple[str, ...]:
    """What of it is on the host still."""
    own = f"{FOLDER}{name}/"
    found = [f"unit {clean(path.removeprefix(own), 80)}" for path in seen.files if path.startswith(own)]
    found += [f"container {clean(one, 80)}" for one in seen.containers.get(name, {})]
    found += [f"network {one}" for one in seen.networks.get(name, ())]
    found += [f"volume {one}" for one in seen.volumes.get(name, ()) if not keeps_data]
    found += [f"image {clean(one, 120)}" for one in seen.images if _is_of(one, name)]
    return tuple(sorted(found))


def _is_of(image: str, name: AppName) -> bool:
    """HOST:PORT/apps/NAME@DIGEST, or one below that."""
    repository = image.partition("/")[2].partition("@")[0]
    return f"{repository}/".startswith(f"{REPOSITORIES}/{name}/")


def _containers(units: Sequence[Unit]) -> list[Unit]:
    return [unit for unit in units if unit.kind == CONTAINER]


def _ended(unit: Unit, service: Service | None) -> str:
    if service is None or service.load != "loaded":
        return f"{unit.service} is not there"
    return f"{unit.service} is {service.active}" if service.active in ("inactive", "failed") else ""


def _failed(unit: Unit, service: Service | None) -> str:
    return f"{unit.service} has failed" if service is not None and service.active == "failed" else ""


def _waits(name: AppName, unit: Unit, seen: Sight) -> str:
    service = seen.services.get(unit.service)
    if service is None or service.load != "loaded":
        return f"{unit.service} is not there yet"
    said = seen.containers.get(name, {}).get(f"systemd-{unit.file.removesuffix(f'.{CONTAINER}')}", "")
    if service.active != "active":
        return f"{unit.service} is {service.active} ({service.sub})" + (f": {said}" if said else "")
    if "(starting)" in said or "(unhealthy)" in said:
        return f"{unit.service} runs, and its container is not well: {said}"
    if service.seconds < SETTLED and service.sub == "running":
        return f"{unit.service} runs for {service.seconds:.0f} s only"
    return ""


def _few(sentences: Sequence[str]) -> str:
    more = f"; and {len(sentences) - _SHOWN} more" if len(sentences) > _SHOWN else ""
    return "; ".join(sentences[:_SHOWN]) + more
