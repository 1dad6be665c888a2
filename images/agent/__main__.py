"""Names the real world and starts the threads: LLDP, facts, work, and the conversation in the first one."""

import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from .attest import Attestor
from .channel import Channel
from .cmdline import Endpoint, parse_cmdline
from .connection import HttpConnection
from .errors import AgentError
from .facts import MAX_OUTPUT, Survey, read_identity
from .link import Link
from .linux import (
    LinuxDisks,
    LinuxFiles,
    LinuxMedia,
    LinuxPower,
    LinuxProcesses,
    SystemClock,
    SystemRng,
    kept_key,
)
from .lldp import Listener
from .log import Log
from .ports import Ports
from .protocol import Hello
from .tpm_chip import Chip
from .tpm_device import Device
from .work import Evidence, Work

VERSION = "1"
_LATE_LLDP = 35.0  # seconds: one interval of LLDP and a bit
_TOKEN_PATIENCE = 45.0  # seconds until a BMC's drive shows what is in it
_KEY = Path("/run/innervate/agent.key")
_SYS, _PROC, _DEV = Path("/sys"), Path("/proc"), Path("/dev")


def main() -> int:
    clock = SystemClock()
    log = Log(clock, _print)
    log.say(f"version {VERSION}")
    try:
        link, late = _wire(clock, log)
    except AgentError as error:
        log.say(f"{error}: {error.evidence}")
        return 1
    for work in late:
        _spawn(work)
    while True:
        link.wake.wait(link.round())
        link.wake.clear()


def _wire(clock: SystemClock, log: Log) -> tuple[Link, tuple[Callable[[], None], ...]]:
    """The conversation, and the first looks at the machine and at its TPM, which are to run beside it."""
    endpoint = parse_cmdline((_PROC / "cmdline").read_text())
    boot_id = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    processes = LinuxProcesses(MAX_OUTPUT)
    disks = LinuxDisks(processes, sys=_SYS, dev=_DEV)
    survey = Survey(boot_id=boot_id, processes=processes, disks=disks, proc=_PROC, sys=_SYS)
    channel = _bind(endpoint, clock, log)
    ports = Ports(
        clock=clock,
        rng=SystemRng(),
        http=channel,
        disks=disks,
        processes=processes,
        files=LinuxFiles(),
        uefi=_has_boot_entries(_SYS / "firmware/efi/efivars"),
        envelope=channel,
    )
    listener = _listen(log)

    def inspect() -> Evidence:
        facts = survey.facts(listener.frames())
        link.tell(facts)
        log.say(f"{len(facts.disks)} disks, {len(facts.nics)} NICs, tools that failed: {sorted(facts.errors)}")
        return {"disks": len(facts.disks), "nics": len(facts.nics)}

    def first_look() -> None:
        began = clock.monotonic()
        facts = survey.facts(listener.frames())
        link.tell(facts)
        clock.sleep(max(0.0, began + _LATE_LLDP - clock.monotonic()))
        late = listener.frames()
        if len(late) != len(facts.lldp):
            frames, nics = tuple(heard.frame.hex() for heard in late), tuple(heard.nic for heard in late)
            link.tell(replace(facts, lldp=frames, lldp_nics=nics))

    attestor = Attestor(channel, clock, log.say)
    link = Link(
        hello=Hello(boot_id=boot_id, agent_version=VERSION, evidence=read_identity(_SYS)),
        http=channel,
        clock=clock,
        rng=ports.rng,
        log=log,
        power=LinuxPower(),
        worker=Work(ports, inspect),
        spawn=_spawn,
        attest=attestor.round,
    )
    return link, (first_look, lambda: _look_for_tpm(attestor, clock, link))


def _look_for_tpm(attestor: Attestor, clock: SystemClock, link: Link) -> None:
    attestor.find(lambda: Chip(Device().transact, clock.sleep, SystemRng().bytes))
    link.wake.set()


def _bind(endpoint: Endpoint, clock: SystemClock, log: Log) -> Channel:
    """The connection, and the key of this boot that all is bound to."""
    media = LinuxMedia(clock, sys=_SYS, dev=_DEV, patience=_TOKEN_PATIENCE if endpoint.token else 0.0)
    rng = SystemRng()
    return Channel(
        http=HttpConnection(endpoint.host, endpoint.port, endpoint.nonce),
        nonce=endpoint.nonce,
        key=kept_key(LinuxFiles(), _KEY, rng),
        look=media.look,
        entropy=rng,
        say=log.say,
    )


def _has_boot_entries(efivars: Path) -> bool:
    """Without the mount, sysfs still shows an empty folder."""
    return efivars.is_dir() and any(efivars.iterdir())


def _listen(log: Log) -> Listener:
    listener = Listener()

    def run() -> None:
        try:
            listener.run()
        except OSError as error:
            log.say(f"LLDP: {error}")

    _spawn(run)
    return listener


def _spawn(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the console is the only screen there is


if __name__ == "__main__":
    sys.exit(main())
