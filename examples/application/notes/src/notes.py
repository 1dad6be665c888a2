"""Notes that everybody may read and add to, one a line, in a database that outlives the pod.

GET /         all of them, the oldest first
POST /        adds the body
GET /health   "well" if the database answers
"""

import os
import signal
import sqlite3
import threading
from contextlib import closing
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DATABASE = os.environ["DATABASE"]
PORT = 8080
LONGEST = 200


def connected() -> sqlite3.Connection:
    return sqlite3.connect(DATABASE, timeout=5, isolation_level=None)


def notes() -> list[str]:
    with closing(connected()) as database:
        return [text for (text,) in database.execute("SELECT text FROM note ORDER BY id")]


def add(text: str) -> None:
    with closing(connected()) as database:
        database.execute("INSERT INTO note (text) VALUES (?)", (text,))


class Handler(BaseHTTPRequestHandler):
    timeout = 10

    def do_GET(self) -> None:
        found = notes()
        self.answer(HTTPStatus.OK, "well\n" if self.path == "/health" else "".join(f"{note}\n" for note in found))

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or not 0 < int(length) <= LONGEST:
            self.answer(HTTPStatus.BAD_REQUEST, f"a note has 1 to {LONGEST} bytes\n")
            return
        add(" ".join(self.rfile.read(int(length)).decode("utf-8", "replace").split()))
        self.answer(HTTPStatus.CREATED, "kept\n")

    def answer(self, status: HTTPStatus, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main() -> None:
    with closing(connected()) as database:
        database.execute("CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
    server = ThreadingHTTPServer(("", PORT), Handler)
    # As process 1 it would ignore the signal; what is being answered is answered to its end.
    signal.signal(signal.SIGTERM, lambda _number, _frame: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.1)
    server.server_close()


if __name__ == "__main__":
    main()
