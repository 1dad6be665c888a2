"""The watch and what people see of it, before an API server on a real TLS socket: well, lame, an impostor, gone."""

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path

from appliance.conductor.memory import Memory
from appliance.kubernetes.objects import Access
from appliance.model.cluster import Member, NodeRole
from appliance.model.cluster_views import ApiState, ClusterView
from appliance.model.secret import Secret
from appliance.services.cluster_hold import Opened
from appliance.services.cluster_keys import ClusterKeys
from appliance.services.cluster_looks import ClusterLooks
from appliance.services.cluster_views import ClusterViews
from appliance.services.cluster_watch import ClusterWatch
from appliance.services.clustering import connect
from appliance.store.cluster_backups import BackupShelf
from appliance.store.log import Log
from appliance.store.secrets import SecretFile
from appliance.system import SystemClock, SystemRng
from pxe.tls import Credential, issue, make_authority, server_context
from tests.unit.appliance.services.cluster_scene import SPEC, A, B, installed

NOW = datetime.now(UTC)
LOOPBACK = IPv4Address("127.0.0.1")


def node(name: str, *, ready: bool) -> object:
    condition = {"type": "Ready", "status": "True" if ready else "False", "message": "PLEG is \x1b[1mnot healthy"}
    return {
        "metadata": {"name": name},
        "spec": {"unschedulable": not ready},
        "status": {"nodeInfo": {"kubeletVersion": "v1.20.2"}, "conditions": [condition]},
    }


@dataclass
class Says:
    """What the API server answers, by path; anything else is not found."""

    lacks: str = ""
    nodes: list[object] = field(default_factory=list)

    def answer(self, path: str) -> tuple[int, bytes]:
        match path.partition("?")[0]:
            case "/readyz":
                return (500, self.lacks.encode()) if self.lacks else (200, b"[+]ping ok\n")
            case "/api/v1/nodes":
                return 200, json.dumps({"items": self.nodes}).encode()
            case "/apis/certificates.k8s.io/v1/certificatesigningrequests":
                return 200, b'{"items": []}'
            case _:
                return 404, b"{}"


@contextmanager
def answering(says: Says, papers: ssl.SSLContext) -> Iterator[int]:
    """An API server's port; at the end nobody listens there."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = says.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Who does not trust us hangs up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = papers.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Seen:
    watch: ClusterWatch
    views: ClusterViews
    port: int = 0

    async def look(self) -> ClusterView:
        await self.watch.look(SPEC)
        return self.views.cluster(SPEC.name)


@asynccontextmanager
async def watching(folder: Path, authority: Credential) -> AsyncIterator[Seen]:
    clock, looks = SystemClock(), ClusterLooks()
    with closing(Log(folder / "records.db", clock)) as log, closing(_file(folder)) as file:
        memory, keys = Memory(log), ClusterKeys(file)
        memory.open()
        for name in (A, B):
            member = Member(cluster=SPEC, role=NodeRole.WORKER, since=1.0)
            memory.world.machines[name] = replace(installed(name), member=member)
        mine = issue(authority, addresses=(LOOPBACK,), now=NOW)
        key = Secret(mine.key.reveal().decode())
        keys.keep(SPEC.name, Access(ca=authority.certificate.decode(), certificate=mine.certificate.decode(), key=key))

        def there(_url: str, access: Access) -> Opened:
            return connect(f"https://127.0.0.1:{seen.port}", access)

        seen = Seen(
            ClusterWatch(memory, keys, there, looks, "lab.test", clock),
            ClusterViews(memory, keys, looks, clock, shelf=BackupShelf(folder / "clusters")),
        )
        yield seen


def _file(folder: Path) -> SecretFile:
    return SecretFile(folder / "clusters.vault", SystemRng())


def papers(authority: Credential) -> ssl.SSLContext:
    return server_context([issue(authority, addresses=(LOOPBACK,), now=NOW)])


def test_a_cluster_is_seen_as_it_is(tmp_path: Path) -> None:
    asyncio.run(played(tmp_path))


async def played(folder: Path) -> None:
    ours, theirs = (make_authority(name=name, now=NOW) for name in ("kubernetes", "eve"))
    says = Says(nodes=[node(A, ready=True), node(B, ready=False)])
    async with watching(folder, ours) as seen:
        with answering(says, papers(ours)) as seen.port:
            view = await seen.look()
            assert (view.api.state, view.ready, view.wanted) == (ApiState.READY, 1, 2)
            words = {one.name: one.said for one in view.nodes}
            lame = words[B]
            assert lame is not None
            assert (lame.ready, lame.schedulable, lame.why) == (False, False, "PLEG is not healthy")
            says.lacks = "[+]ping ok\n[-]etcd failed: reason withheld\n"
            view = await seen.look()
            assert (view.api.state, view.api.lacks) == (ApiState.NOT_READY, "[-]etcd failed: reason withheld")
            answered = view.api.looked
        gone = (await seen.look()).api
        assert (gone.state, gone.looked) == (ApiState.SILENT, answered)
        assert "does not answer" in gone.lacks
        with answering(Says(nodes=[node("eve", ready=True)]), papers(theirs)) as seen.port:
            view = await seen.look()
        assert view.api.state is ApiState.SILENT
        assert "is not the cluster" in view.api.lacks
        assert view.api.silent_since == gone.silent_since, "since the first look that it did not answer"
        assert [one.name for one in view.nodes] == [A, B], "an impostor's word counts for nothing"
        assert view.ready is None
        says.lacks = ""
        with answering(says, papers(ours)) as seen.port:
            assert (await seen.look()).api.state is ApiState.READY
