"""A whole site over TLS, behind the real gate, and those who come to it."""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path

from playwright.sync_api import Page

from appliance.access.access import Access
from appliance.access.model import COOKIE, Role
from appliance.api.app import create_app
from appliance.api.fake import FakeApplication, Served, fake_access, served_app
from appliance.api.server import Secure, listen_on
from appliance.fleet.credential import kept
from appliance.system import SystemClock, SystemRng
from appliance.web.app import create_pages
from pxe.tls import server_context
from tests.web.scenes import rack

PASSWORD = "correct horse battery"
HOST, ADDRESS = "localhost", "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Site:
    url: str
    port: int
    access: Access
    application: FakeApplication
    server: Served

    def add(self, role: Role) -> None:
        """An account that is called like its role."""
        if self.access.desk.setup_code:
            code = self.access.desk.setup_code
            self.server.do(self.access.desk.set_up("admin", code, PASSWORD, "192.0.2.1"))
        if role is not Role.ADMIN:
            self.server.do(self.access.desk.add_user(role.value, role, PASSWORD))

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str, bytes]:
        """Status, Location and body, as a program that sends what it likes."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = HTTPSConnection(HOST, self.port, context=context, timeout=10)
        sent = {"Content-Type": "application/x-www-form-urlencoded"} | headers
        connection.request(method, path, body=body.encode() or None, headers=sent)
        answer = connection.getresponse()
        got = answer.status, answer.headers.get("Location", ""), answer.read()
        connection.close()
        return got

    def handshake(self, path: str, **headers: str) -> int:
        """The status that a WebSocket is answered with; it is hung up at once."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = HTTPSConnection(HOST, self.port, context=context, timeout=10)
        connection.request("GET", path, headers=headers)
        status = connection.getresponse().status
        connection.close()
        return status

    def cookie(self, name: str) -> str:
        entered = self.server.do(self.access.desk.log_in(name, PASSWORD, "", "192.0.2.1"))
        return f"{COOKIE}={entered.cookie}"


@contextmanager
def sited(folder: Path, application: FakeApplication | None = None) -> Iterator[Site]:
    credential, application = kept(folder, "lab", (HOST, ADDRESS), SystemClock()), application or rack()
    with fake_access() as access, listen_on(0) as listener:
        pages = create_pages(application, access, life="life", now=time.time)
        app = create_app(application, access, SystemRng(), hosts=frozenset({HOST, ADDRESS}), pages=pages)
        port = listener.getsockname()[1]
        secure = Secure(listener=listener, tls=server_context([credential]))
        with served_app(app, folder / "api.sock", secure) as server:
            url = f"https://{HOST}:{port}"
            yield Site(url=url, port=port, access=access, application=application, server=server)


def log_in(page: Page, site: Site, name: str) -> None:
    """Returns when the rack is there, keys included."""
    page.goto(site.url)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{site.url}/")
