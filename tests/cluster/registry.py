"""Debian's container registry on the ground, filled from image layouts, and a web server for a set's files."""

import functools
import http.server
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.lab.certificate import self_signed
from images.oci import reading
from images.oci.content import Content, File, Link
from images.oci.document import Settings
from images.oci.layout import Layout
from tests.cluster.nodes import GATEWAY, Ground
from tests.foreign import unpacked

REGISTRY_PORT, FILES_PORT = 5000, 8000
REGISTRY = f"{GATEWAY.ip}:{REGISTRY_PORT}"
FILES = f"http://{GATEWAY.ip}:{FILES_PORT}"
WEB = "apps/web"
_CONFIG = """\
version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {folder}/images}}, delete: {{enabled: true}}}}
http: {{addr: "{address}", tls: {{certificate: {folder}/trusted/ca.crt, key: {folder}/server.key}}}}
"""
_START_SECONDS, _COPY_SECONDS = 20.0, 120.0
_APPLETS = ("cat", "hostname", "httpd", "sh", "sleep", "wget")


@contextmanager
def registry(ground: Ground) -> Iterator[str]:
    """Answers at `REGISTRY`, over TLS; yields its certificate in PEM."""
    program, folder = unpacked("docker-registry") / "usr/bin/docker-registry", _folder(ground)
    certificate, configuration = self_signed("registry", GATEWAY.ip), folder / "registry.yml"
    _trusted(ground).mkdir(parents=True)
    configuration.write_text(_CONFIG.format(folder=folder, address=REGISTRY))
    (_trusted(ground) / "ca.crt").write_bytes(certificate.certificate)
    (folder / "server.key").write_bytes(certificate.key)
    with ground.run(str(program), "serve", str(configuration), log="registry.log") as running:
        try:
            _await(ground)
            yield certificate.certificate.decode()
        finally:
            running.kill()


def _folder(ground: Ground) -> Path:
    return ground.folder / "registry"


def _trusted(ground: Ground) -> Path:
    """With the certificate alone: skopeo would take a key in that folder for its own."""
    return _folder(ground) / "trusted"


def push(ground: Ground, layout: Path) -> None:
    """Every image of the layout, with the digests that it has there."""
    for image in reading.images(layout):
        target = f"docker://{REGISTRY}/{image.name}"
        words = ("--insecure-policy", "copy", "--quiet", "--preserve-digests", f"--dest-cert-dir={_trusted(ground)}")
        argv = [*ground.entered, "skopeo", *words, f"oci:{layout}:{image.name}", target]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_COPY_SECONDS, check=False)
        assert done.returncode == 0, done.stderr


def write_web(folder: Path, *versions: str) -> None:
    """A layout with a web server that says what it is: `apps/web` with a tag for each version."""
    found = unpacked("busybox-static")
    busybox = next(path for path in (found / "usr/bin/busybox", found / "bin/busybox") if path.exists())
    layout = Layout.create(folder)
    programs: Content = {
        "bin/busybox": File(source=busybox, mode=0o755),
        **{f"bin/{name}": Link(target="busybox") for name in _APPLETS},
    }
    below = layout.add_layer(programs)
    for version in versions:
        page = layout.add_layer({"www/index.html": File(source=f"web {version}\n".encode())})
        # As process 1 it would ignore SIGTERM, and every pod would take its whole grace period.
        served = Settings(
            cmd=("/bin/httpd", "-f", "-p", "8080", "-h", "/www"), environment={"PATH": "/bin"}, stop_signal="SIGKILL"
        )
        layout.add_image(f"{WEB}:{version}", (below, page), served)


@contextmanager
def files(ground: Ground, folder: Path) -> Iterator[None]:
    """The folder's files below `FILES`."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with ground.inside():
        server = http.server.ThreadingHTTPServer((str(GATEWAY.ip), FILES_PORT), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its base class's word
        pass


def _await(ground: Ground) -> None:
    deadline = time.monotonic() + _START_SECONDS
    trusted = ("--cacert", str(_trusted(ground) / "ca.crt"))
    argv = [*ground.entered, "curl", "-fsS", "--max-time", "2", *trusted, f"https://{REGISTRY}/v2/"]
    while (done := subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)).returncode:
        assert time.monotonic() < deadline, f"{done.stderr}\n{(ground.folder / 'registry.log').read_text()[-2000:]}"
        time.sleep(0.05)
