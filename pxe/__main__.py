"""The boot services without an appliance: python -m pxe CONFIG.

SIGTERM and SIGINT stop it. SIGHUP reads the file and its folders again: subnets, machines, zone, artifacts and intents
change while everything runs; for the rest start anew. A file with an error changes nothing.
"""

import argparse
import dataclasses
import logging
import resource
import signal
import sys
import time
from collections.abc import Sequence
from enum import Enum
from http import HTTPStatus
from pathlib import Path

from pxe.boot import BootIntent, Mode
from pxe.client import Client
from pxe.config import Standalone, StaticPolicy, load
from pxe.dhcp.conflict import AddressInUse
from pxe.dhcp.event import DhcpEvent
from pxe.dhcp.flood import FloodAlarm
from pxe.dhcp.identity import keep_identity
from pxe.dhcp.rivals import Foreign, RivalGone, RivalSeen, Stands, refusal, sentence
from pxe.dhcp.watch import ProxyIgnored
from pxe.errors import ConfigError, PxeError
from pxe.http.responder import HttpReply, HttpRequest
from pxe.http.server import HttpEvent
from pxe.memory import settle
from pxe.routes import ScriptEvent
from pxe.service import BootServices, PxeEvent, ServiceConfig

log = logging.getLogger("pxe")

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_USAGE = 2
_DHCP_WORDS = ("kind", "mac", "stage", "arch", "uuid", "address", "filename", "circuit_id", "remote_id", "reason")


class _Clock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class _Nobody:
    """There is no appliance that agents could talk to."""

    def handle(self, request: HttpRequest) -> HttpReply:
        return HttpReply(status=HTTPStatus.NOT_FOUND, body=b"these boot services run without an appliance\n")


class _Current:
    """The policy of the moment, replaced whole."""

    def __init__(self, policy: StaticPolicy) -> None:
        self.policy = policy

    def intent_for(self, client: Client) -> BootIntent:
        return self.policy.intent_for(client)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pxe", description="DHCP, TFTP, HTTP and DNS for network boot")
    parser.add_argument("config", type=Path, help="a TOML file")
    parser.add_argument("--check", action="store_true", help="read the file, say what is wrong with it, and end")
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        standalone = load(options.config)
        if not options.check:
            _serve(options.config, standalone)
    except PxeError as error:
        log.error("%s", explain(error))
        return _USAGE if isinstance(error, ConfigError) else 1
    return 0


def explain(error: PxeError) -> str:
    return "; ".join(filter(None, (str(error), error.evidence, error.next_action)))


def describe(event: PxeEvent) -> str:
    """One line: a sentence, or what it was and each field that says something. Text of a client is escaped."""
    match event:
        case Stands() | RivalSeen() | RivalGone():
            return f"rivals: {sentence(event)}"
        case AddressInUse() | FloodAlarm() | ProxyIgnored():
            return f"{type(event).__name__.lower()}: {event.sentence}"
        case _:
            return _fields(event)


def _fields(event: PxeEvent) -> str:
    match event:
        case DhcpEvent():
            names: Sequence[str] = _DHCP_WORDS
        case HttpEvent() | ScriptEvent():
            names = event._fields
        case _:
            names = [field.name for field in dataclasses.fields(event)]
    words = (f"{name}={_word(value)}" for name in names if (value := getattr(event, name)) not in (None, ""))
    return " ".join((type(event).__name__.removesuffix("Event").lower(), *words))


def _word(value: object) -> str:
    match value:
        case Enum():
            return value.name.lower()
        case type():
            return value.__name__
        case float():
            return f"{value:.3f}"
        case str() if not (value.isascii() and value.isprintable() and " " not in value):
            return ascii(value)
        case _:
            return str(value)


def _serve(path: Path, standalone: Standalone) -> None:
    # Every connection and every file under way is a descriptor; the usual soft limit of 1024 is for select().
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Before the first thread: the signals then wait for sigwait whichever thread they reach.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    current, config = _Current(standalone.policy), _with_identity(standalone)
    services = BootServices(
        config=config,
        policy=current,
        artifacts=standalone.artifacts,
        application=_Nobody(),
        observe=lambda event: log.info("%s", describe(event)),
        clock=_Clock(),
    )
    services.start()
    settle()
    try:
        standing = services.settle()
        if isinstance(standing, Foreign):
            raise refusal(standing)
        log.info("serving device=%s address=%s mode=%s", config.device, config.endpoints.address, config.mode.value)
        while signal.sigwait(_SIGNALS) is signal.SIGHUP:
            _reload(path, services, current)
    finally:
        services.stop()
        log.info("stopped")


def _with_identity(standalone: Standalone) -> ServiceConfig:
    config, identity = standalone.service, standalone.identity
    if identity is None or config.mode is not Mode.FULL:
        return config
    return dataclasses.replace(config, guards=dataclasses.replace(config.guards, identity=keep_identity(identity)))


def _reload(path: Path, services: BootServices, current: _Current) -> None:
    try:
        standalone = load(path)
        if standalone.service.dhcp is not None:
            services.set_dhcp(standalone.service.dhcp)
    except PxeError as error:
        log.error("nothing is changed: %s", explain(error))
        return
    services.set_artifacts(standalone.artifacts)
    services.set_zone(standalone.service.zone)
    current.policy = standalone.policy
    log.info("reloaded")


if __name__ == "__main__":
    sys.exit(main())
