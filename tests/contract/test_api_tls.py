"""The API over TLS as it is on the wire: the client, and OpenSSL beside it."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from appliance.access.access import Access
from appliance.access.model import Caller, Role, Via
from appliance.api.app import create_app
from appliance.api.fake import FakeApplication, Served, fake_access, served_app
from appliance.api.server import Secure, listen_on
from appliance.client import Client
from appliance.dial import HttpsDial, https_dial
from appliance.errors import AbsentError, AccessError, InnervateError, LoginError, NotFoundError, UsageError
from appliance.fleet.credential import fingerprint_of, kept
from appliance.lab.certificate import self_signed
from appliance.main import main
from appliance.model.access_views import PasswordRequest, TokenRequest, UserChangeRequest, UserRequest
from appliance.model.phase import Phase
from appliance.model.views import HealthView, MachineView, ShellView
from appliance.system import SystemClock, SystemRng
from pxe.tls import server_context

PASSWORD = "correct horse battery"
ROOT = Caller(name="local:root", role=Role.ADMIN, via=Via.SOCKET)


@dataclass(frozen=True, kw_only=True)
class Far:
    url: str
    port: int
    fingerprint: str
    folder: Path
    access: Access
    application: FakeApplication
    server: Served

    def token(self, role: Role) -> str:
        return self.access.desk.make_token(ROOT, "test", role, 1)[1]

    def client(self, role: Role = Role.ADMIN) -> Client:
        return Client(https_dial(self.url, self.token(role), self.fingerprint, None), timeout=10)


def unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Far]:
    credential = kept(tmp_path, "lab", ("localhost", "127.0.0.1"), SystemClock())
    application, fingerprint = FakeApplication(), fingerprint_of(credential)
    hosts = frozenset({"localhost", "127.0.0.1"})
    with fake_access() as access, listen_on(0) as listener:
        app = create_app(application, access, SystemRng(), hosts=hosts, fingerprint=fingerprint)
        secure = Secure(listener=listener, tls=server_context([credential]))
        port = listener.getsockname()[1]
        with served_app(app, tmp_path / "api.sock", secure) as server:
            yield Far(
                url=f"https://localhost:{port}",
                port=port,
                fingerprint=fingerprint,
                folder=tmp_path,
                access=access,
                application=application,
                server=server,
            )


def test_a_token_opens_what_its_role_may(far: Far) -> None:
    assert far.client().users().users == ()
    assert far.client(Role.VIEWER).machines().machines == ()
    with pytest.raises(AccessError) as caught:
        far.client(Role.VIEWER).make_plan()
    assert type(caught.value) is AccessError
    nobody = Client(https_dial(far.url, "", far.fingerprint, None))
    assert isinstance(nobody.health(), HealthView)
    assert nobody.health().fingerprint == far.fingerprint
    with pytest.raises(LoginError):
        nobody.machines()


def test_accounts_from_afar(far: Far) -> None:
    client = far.client()
    ann = client.add_user(UserRequest(name="ann", role=Role.VIEWER, password=PASSWORD))
    assert client.user("ann") == ann
    changed = client.change_user(ann, UserChangeRequest(role=Role.OPERATOR))
    with pytest.raises(InnervateError, match="changed since"):
        client.change_user(ann, UserChangeRequest(enabled=False))
    assert client.set_password("ann", PasswordRequest(password=f"{PASSWORD}!")) == changed
    assert client.passkeys("ann").passkeys == ()
    with pytest.raises(NotFoundError, match="has no passkey"):
        client.remove_passkey("ann", "0011223344556677")
    entered = far.server.do(far.access.desk.log_in("ann", f"{PASSWORD}!", "", "192.0.2.1"))
    (session,) = client.sessions().sessions
    assert (session.user, session.how, session.own) == ("ann", "password", False)
    client.end_session(session.id)
    assert far.access.desk.by_session(entered.cookie) is None
    client.remove_user(changed)
    with pytest.raises(NotFoundError):
        client.user("ann")
    made = client.make_token(TokenRequest(label="ci", role=Role.VIEWER))
    assert made.id in {token.id for token in client.tokens().tokens}
    client.revoke_token(made.id)
    assert client.verify_audit().broken is None
    assert {entry.source for entry in client.audit().entries} <= {"127.0.0.1", "::1"}


def test_another_certificate_is_told_nothing(far: Far) -> None:
    with pytest.raises(LoginError, match="another certificate") as caught:
        Client(https_dial(far.url, "secret", "ab" * 32, None)).machines()
    assert far.fingerprint in caught.value.evidence
    with pytest.raises(AbsentError, match="does not answer"):  # nobody has signed it whom this computer trusts
        Client(https_dial(far.url, "secret", "", None)).machines()
    assert far.access.audit.last == 0


def test_an_authority(far: Far) -> None:
    authority = far.folder / "authority.pem"
    chain = (far.folder / "server.crt").read_text()
    authority.write_text("-----BEGIN" + chain.split("-----BEGIN")[-1])
    token = far.token(Role.VIEWER)
    assert Client(https_dial(far.url, token, "", authority)).machines().machines == ()
    with pytest.raises(AbsentError):
        Client(https_dial(f"https://localhost.localdomain:{far.port}", token, "", authority)).machines()
    with pytest.raises(UsageError):
        Client(https_dial(far.url, token, "", far.folder / "none")).machines()


def test_old_tls_is_refused(far: Far) -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = unverified()
        context.minimum_version = context.maximum_version = version
        with context.wrap_socket(socket.create_connection(("localhost", far.port), 10)) as opened:
            assert opened.version() == version.name.replace("_", ".")
    for option in ("-tls1", "-tls1_1"):
        argv = ["openssl", "s_client", "-connect", f"localhost:{far.port}", option, "-cipher", "ALL:@SECLEVEL=0"]
        done = subprocess.run(argv, input=b"", capture_output=True, timeout=20, check=False)
        assert done.returncode != 0


def test_a_name_that_is_not_ours(far: Far) -> None:
    connection = HTTPSConnection("localhost", far.port, timeout=10, context=unverified())
    connection.request("GET", "/v1/health", headers={"Host": "evil.example"})
    assert connection.getresponse().status == 421
    connection.close()


@contextmanager
def shouting(far: Far) -> Iterator[None]:
    """A machine that says everything again, in capitals."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far.application.shells["node-0"] = ShellView(
            machine="node-0",
            user="root",
            address="127.0.0.1",
            port=listener.getsockname()[1],
            host_keys=(),
            identity_file="",
        )
        far.application.inventory["node-0"] = MachineView(name="node-0", phase=Phase.ACTIVE, since=0)

        def answer() -> None:
            machine, _ = listener.accept()
            with machine:
                while data := machine.recv(100):
                    machine.sendall(data.upper())

        thread = threading.Thread(target=answer)
        thread.start()
        yield
        thread.join(10)


def test_the_tunnel_goes_over_tls_too(far: Far) -> None:
    with pytest.raises(AccessError), far.client(Role.VIEWER).tunnel("node-0"):
        pass
    with shouting(far), far.client(Role.OPERATOR).tunnel("node-0") as channel:
        channel.send(b"hello")
        assert channel.recv(timeout=10) == b"HELLO"


def test_a_tunnel_ends_with_its_token(far: Far) -> None:
    with shouting(far), far.client(Role.OPERATOR).tunnel("node-0") as channel:
        channel.send(b"hello")
        assert channel.recv(timeout=10) == b"HELLO"
        (token,) = far.access.desk.tokens(ROOT)
        far.server.do(revoked(far, token.id))
        channel.send(b"more")
        with pytest.raises(ConnectionClosed):
            channel.recv(timeout=10)


def test_a_stream_of_events_ends_with_its_token(far: Far) -> None:
    connection = HTTPSConnection("localhost", far.port, timeout=10, context=unverified())
    connection.request("GET", "/v1/events/stream", headers={"Authorization": f"Bearer {far.token(Role.VIEWER)}"})
    response = connection.getresponse()
    far.server.do(far.application.tell("node-0", "one"))
    assert any(b'"text":"one"' in response.readline() for _ in range(4))
    (token,) = far.access.desk.tokens(ROOT)
    far.server.do(revoked(far, token.id))
    far.server.do(far.application.tell("node-0", "two"))
    assert b"two" not in response.read()
    connection.close()


async def revoked(far: Far, token: str) -> None:
    far.access.desk.revoke_token(ROOT, token)


def test_the_command_line_from_afar(far: Far, capsys: pytest.CaptureFixture[str]) -> None:
    file = far.folder / "token"
    file.write_text(far.token(Role.VIEWER) + "\n")
    where = ("--server", far.url, "--token-file", str(file), "--fingerprint", far.fingerprint)
    assert main((*where, "status", "--json")) == 0
    assert main((*where, "take-over")) == 6
    assert main((*where, "login-code")) == 2
    file.write_text("inv_0_0\n")
    assert main((*where, "status")) == 6
    assert "inv_0_0" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("url", "netloc"),
    [
        ("https://rack.example", "rack.example:443"),
        ("https://10.0.0.1:8443/", "10.0.0.1:8443"),
        ("https://[2001:db8::1]:8443", "[2001:db8::1]:8443"),
    ],
)
def test_addresses(url: str, netloc: str) -> None:
    dial = https_dial(url, "t0ken", "AB:" * 31 + "AB", None)
    assert (dial.netloc, dial.fingerprint) == (netloc, "ab" * 32)
    assert "t0ken" not in repr(dial)


@pytest.mark.parametrize("url", ["", "rack", "http://rack", "https://", "https://a/b", "https://u@a", "https://a:x"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(UsageError):
        https_dial(url, "", "", None)


def test_the_certificate_is_kept_and_follows_the_hosts(tmp_path: Path) -> None:
    first = kept(tmp_path, "lab", ("rack.example", "192.0.2.1", "2001:db8::1"), SystemClock())
    assert kept(tmp_path, "lab", ("192.0.2.1",), SystemClock()) == first
    second = kept(tmp_path, "lab", ("other.example",), SystemClock())
    assert fingerprint_of(second) != fingerprint_of(first)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "server.crt": 0o600, "server.key": 0o600,
    }  # fmt: skip


def test_a_certificate_of_ones_own_is_left_alone(tmp_path: Path, far: Far) -> None:
    own = self_signed("own", IPv4Address("192.0.2.1"))
    (tmp_path / "server.crt").write_bytes(own.certificate)
    (tmp_path / "server.key").write_bytes(own.key)
    assert fingerprint_of(kept(tmp_path, "lab", ("rack.example",), SystemClock())) == own.fingerprint


def test_a_dial_without_a_port() -> None:
    assert HttpsDial(host="a").port == 443
