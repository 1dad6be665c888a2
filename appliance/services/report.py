"""What is handed over, from what the log knows. Pure."""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator

from appliance.conductor.machine import MachineState
from appliance.conductor.position import step_state
from appliance.conductor.runs import RunStatus
from appliance.inventory.model import Installed
from appliance.model.hardware import HardwareFacts
from appliance.model.report_views import HandedOver, InstalledView, PortView, SystemView, WorkView
from appliance.model.text import clean
from appliance.model.views import MachineView
from appliance.plan import ImageRef, InstallerRef, OsRef

LATEST_STEPS = 60


def handed_over(view: MachineView, state: MachineState, runs: Iterable[RunStatus]) -> HandedOver:
    """`runs` in the order in which they began."""
    facts = state.facts
    return HandedOver(
        machine=view,
        system=None if facts is None else _system(facts),
        ports=() if facts is None else tuple(_ports(facts)),
        installed=None if state.installed is None else _installed(state.installed),
        work=tuple(_work(state, runs))[-LATEST_STEPS:],
    )


def _system(facts: HardwareFacts) -> SystemView:
    return SystemView(
        manufacturer=facts.manufacturer,
        product=facts.product,
        board_serial=facts.board_serial,
        firmware=facts.firmware.value,
        firmware_version=facts.firmware_version,
        cpu=facts.cpu_model,
        sockets=facts.sockets,
        threads=facts.threads,
        gpus=tuple(f"{gpu.model} ({gpu.bus})" for gpu in facts.gpus),
        gaps=facts.gaps,
    )


def _ports(facts: HardwareFacts) -> Iterator[PortView]:
    heard = {neighbour.nic: neighbour for neighbour in facts.neighbours}
    for nic in facts.nics:
        near = heard.get(nic.name)
        yield PortView(
            nic=nic.name,
            mac=str(nic.mac),
            up=nic.carrier,
            speed_mbps=nic.speed_mbps,
            addresses=tuple(map(str, nic.addresses)),
            switch=(near.system or near.chassis) if near else "",
            port=near.port if near else "",
        )


def _installed(one: Installed) -> InstalledView:
    return InstalledView(
        image=one.image.name,
        sha256=_digest(one.image),
        hostname=one.hostname,
        address=str(one.address),
        disk_serial=one.disk.serial if one.disk else "",
        disk_wwn=one.disk.wwn if one.disk else "",
        addresses=tuple(map(str, one.network.addresses)) if one.network else (),
        host_keys=tuple(filter(None, map(fingerprint, one.host_keys))),
        confirmed=one.confirmed,
        smoke_passed=one.smoke_passed,
    )


def _digest(image: OsRef) -> str:
    match image:
        case ImageRef():
            return image.blob_sha256
        case InstallerRef():
            return image.files_sha256


def fingerprint(key: str) -> str:
    """Of an OpenSSH public key line, as ssh-keygen(1) -l shows it: "SHA256:..."; "" for what is none."""
    try:
        blob = base64.b64decode(key.split()[1], validate=True)
    except (IndexError, binascii.Error, ValueError):
        return ""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _work(state: MachineState, runs: Iterable[RunStatus]) -> Iterator[WorkView]:
    for run in runs:
        for step in run.index.by_machine.get(state.name, ()):
            if (attempt := run.attempts.get(step.id)) is None:
                continue
            problem = attempt.result.problem if attempt.result is not None else None
            yield WorkView(
                run=run.id,
                summary=step.summary,
                state=step_state(attempt, run.state).value,
                kind=step.kind.value,
                started=attempt.started,
                ended=attempt.ended,
                problem=clean(problem.message, 500) if problem else "",
                next_action=clean(problem.next_action, 500) if problem else "",
            )
