"""haproxy's configuration (haproxy 2.6 and later, configuration.txt). Pure.

All names are DNS labels and all else numbers, addresses and checked paths: nothing can become another line.

A backend is out after two checks in a row that fail or take more than 1.5 s: within 4.5 s. Its connections are closed
then, so that clients come back and get another one. Idle connections are left for four hours: watches of Kubernetes'
API say nothing for minutes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from appliance.model.balancer import Backend, Balancing, HttpsCheck, Listener, TcpCheck

ALIVE_PATH = "/alive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Of the machine on which it runs: `admin` is a socket, `states` a file that outlives a reload."""

    admin: Path
    states: Path


def rendered(balancing: Balancing, paths: Paths) -> str:
    return "\n".join(_lines(balancing, paths)) + "\n"


def _lines(balancing: Balancing, paths: Paths) -> Iterator[str]:
    yield from (
        "global",
        "    log stdout format raw local0 notice",
        f"    stats socket {paths.admin} mode 600 level admin expose-fd listeners",
        "    stats timeout 1m",
        f"    server-state-file {paths.states}",
        "    fd-hard-limit 40000",
        "    hard-stop-after 10m",
        "",
        "defaults",
        "    mode tcp",
        "    log global",
        "    load-server-state-from-file global",
        "    option clitcpka",
        "    option srvtcpka",
        "    option redispatch 1",
        "    retries 2",
        "    timeout connect 3s",
        "    timeout check 1500ms",
        "    timeout client 4h",
        "    timeout server 4h",
        "    default-server inter 1s fastinter 500ms downinter 1s fall 2 rise 2 on-marked-down shutdown-sessions",
    )
    if balancing.alive is not None:
        yield from _alive(balancing.alive)
    for listener in balancing.listeners:
        yield from _listener(listener, balancing)


def _alive(port: int) -> Iterator[str]:
    """Says that it is there, and nothing of the backends: the address must not leave because nobody is up yet."""
    yield from (
        "",
        "frontend alive",
        f"    bind 127.0.0.1:{port}",
        "    mode http",
        "    timeout client 2s",
        f"    monitor-uri {ALIVE_PATH}",
    )


def _listener(listener: Listener, balancing: Balancing) -> Iterator[str]:
    yield from ("", f"frontend in-{listener.name}", f"    bind {balancing.address}:{listener.port}")
    if listener.sources:
        yield f"    tcp-request connection reject unless {{ src {' '.join(map(str, listener.sources))} }}"
    yield from (f"    default_backend {listener.name}", "", f"backend {listener.name}")
    yield f"    balance {'source' if listener.affinity else 'leastconn'}"
    if listener.affinity:
        yield "    hash-type consistent"
    yield from _check(listener)
    for backend in listener.backends:
        yield _server(listener, backend)


def _check(listener: Listener) -> Iterator[str]:
    match listener.check:
        case TcpCheck():
            return
        case HttpsCheck(path=path):
            yield "    option httpchk"
            yield f"    http-check send meth GET uri {path} ver HTTP/1.1 hdr Host {listener.name}"
            yield "    http-check expect status 200"
        case other:
            assert_never(other)


def _server(listener: Listener, backend: Backend) -> str:
    how = " check-ssl verify none" if isinstance(listener.check, HttpsCheck) else ""
    return f"    server {backend.name} {backend.address}:{backend.port} check{how}{' backup' if backend.backup else ''}"
