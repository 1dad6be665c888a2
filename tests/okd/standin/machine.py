#!/usr/bin/env python3
"""STAND-IN for a machine that becomes an OKD node: a process in the machine's network namespace, from power-on on.

It fetches its boot script, what that names, and its Ignition; applies it with Debian's genuine engine to a folder, its
disk; runs the hooks and the report that stand there; resolves names by the site's name service; asks the cluster for
certificates as a kubelet does. What is SCOS's and OKD's own is played: a bootstrap machine starts a real API server
with what its Ignition holds, and serves machine configs; the first control plane starts another one.

    machine.py FOLDER     with settings.json in it
"""

import base64
import http.client
import http.server
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ENGINE = "/usr/lib/dracut/modules.d/30ignition/ignition"
OPENSHIFT, TLS = "opt/openshift", "opt/openshift/tls"
# The files of that root, and the programs of this machine: what SCOS has in /usr is its own.
ENTER = """
root=$1 merged=$2; shift 2
mount -t tmpfs tmpfs "$merged"
cp -a "$root/." "$merged/"
mkdir -p "$merged/usr" "$merged/proc" "$merged/tmp" "$merged/dev"
for name in bin lib lib64 sbin; do ln -s "usr/$name" "$merged/$name"; done
mount --bind /usr "$merged/usr"
mount --bind "$root/usr/local" "$merged/usr/local"
mount -t proc proc "$merged/proc"
: >"$merged/dev/null"
mount --bind /dev/null "$merged/dev/null"
exec chroot "$merged" "$@"
"""
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
CLIENT_USAGES = ("digital signature", "key encipherment", "client auth")
Object = dict[str, Any]


class Machine:
    def __init__(self, folder: Path) -> None:
        self.folder, told = folder, json.loads((folder / "settings.json").read_text())
        self.name, self.mac, self.address = told["name"], told["mac"], told["address"]
        self.origin, self.programs = told["origin"], Path(told["programs"])
        self.etcd, self.shared, self.device, self.wwn = told["etcd"], Path(told["shared"]), told["device"], told["wwn"]
        self.first = told["first"]
        self.planes, self.workers, self.version = told["planes"], told["workers"], told["version"]
        self.disk, self.kept = folder / "disk", folder / "installed"

    def say(self, text: str) -> None:
        with (self.folder / "console.log").open("a") as log:
            log.write(f"{time.time():.2f} {text}\n")

    def live(self) -> None:
        """Until the appliance says that it shall boot its disk."""
        while True:
            script = fetched(f"{self.origin}/boot.ipxe?mac={self.mac.replace(':', '-')}").decode()
            words = next((line.split() for line in script.splitlines() if line.startswith("kernel ")), None)
            if words is None and "booting from the local disk" in script:
                self.say("boots its disk")
                return
            if words is None:
                time.sleep(0.5)
                continue
            initrd = next(line.split()[3] for line in script.splitlines() if line.startswith("initrd "))
            try:
                loaded = [fetched(url) for url in (words[1], initrd)]
            except HTTPError:  # iPXE then asks for its script again
                time.sleep(0.5)
                continue
            self.say("boots the network")
            self.install(loaded, dict(word.partition("=")[::2] for word in words[2:]))

    def install(self, loaded: list[bytes], told: dict[str, str]) -> None:
        for content in (*loaded, fetched(told["coreos.live.rootfs_url"])):
            assert b"STAND-IN" in content
        assert told["coreos.inst.install_dev"] == self.device, "the plan names another disk"
        root = self.folder / "live"
        self.apply(root, fetched(told["ignition.config.url"]))
        self.hardware(root)
        self.unit(root, "innervate-before.service")
        (self.folder / "written.ign").write_bytes(fetched(told["coreos.inst.ignition_url"]))
        with (self.folder / "installs").open("a") as count:
            count.write("x")
        self.unit(root, "innervate-after.service")
        self.say("is installed")

    def hardware(self, root: Path) -> None:
        """A blank disk, as the hooks see it in sysfs."""
        block = root / "sys/class/block/sda"
        (block / "device").mkdir(parents=True, exist_ok=True)
        (block / "size").write_text(f"{200 * 10**9 // 512}\n")
        (block / "device/wwid").write_text(f"{self.wwn}\n")
        (block / "device/vpd_pg80").write_bytes(b"\0\x80\0\x08" + f"{self.name}-disk".encode())
        by_id = root / "dev/disk/by-id"
        by_id.mkdir(parents=True, exist_ok=True)
        (root / "dev/sda").write_bytes(bytes(1 << 20))
        link = by_id / Path(self.device).name
        link.unlink(missing_ok=True)
        link.symlink_to("../../sda")

    def apply(self, root: Path, config: bytes) -> None:
        """By the genuine engine, which fetches what the config names. It ends at SELinux where a system has none."""
        labels = root / "etc/selinux/none/contexts/files"
        labels.mkdir(parents=True, exist_ok=True)
        (root / "etc/selinux/config").write_text("SELINUX=disabled\nSELINUXTYPE=none\n")
        (labels / "file_contexts").touch()
        tools = self.folder / "bin"
        tools.mkdir(exist_ok=True)
        (tools / "setfiles").write_text("#!/bin/sh\nexit 0\n")
        (tools / "setfiles").chmod(0o755)
        given = self.folder / "given.ign"
        given.write_bytes(config)
        environment = {**os.environ, "IGNITION_CONFIG_FILE": str(given), "PATH": f"{tools}:{os.environ['PATH']}"}
        files = [f"-config-cache={self.folder / 'cache.json'}", f"-state-file={self.folder / 'state.json'}"]
        (self.folder / "cache.json").unlink(missing_ok=True)
        for stage in ("fetch", "files"):
            argv = [ENGINE, "-platform=file", f"-stage={stage}", f"-root={root}", *files, "-log-to-stdout"]
            with (self.folder / f"ignition-{stage}.log").open("w") as log:
                subprocess.run(argv, env=environment, check=True, stdout=log, stderr=log)

    def unit(self, root: Path, name: str) -> None:
        """What a unit of that root starts, with the files of that root before this machine's."""
        lines = (root / "etc/systemd/system" / name).read_text().splitlines()
        settings = next(line.partition("=")[2] for line in lines if line.startswith("EnvironmentFile="))
        told = dict(line.partition("=")[::2] for line in (root / settings.lstrip("/")).read_text().splitlines())
        merged = self.folder / "merged"
        merged.mkdir(exist_ok=True)
        for line in lines:
            if line.startswith("ExecStart="):
                argv = [
                    "unshare",
                    "--mount",
                    "--propagation",
                    "private",
                    "sh",
                    "-ec",
                    ENTER,
                    "sh",
                    str(root),
                    str(merged),
                ]
                command = line.partition("=")[2].split()
                subprocess.run([*argv, *command], env={**os.environ, **told, "PAUSE": "0.3"}, check=True)

    def run(self) -> None:
        """From its disk: Ignition once, then what the machine is."""
        if not (self.folder / "configured").exists():
            self.apply(self.disk, (self.folder / "written.ign").read_bytes())
            (self.folder / "configured").touch()
        keys = self.disk / "etc/ssh"
        keys.mkdir(parents=True, exist_ok=True)
        if not (keys / "ssh_host_ed25519_key.pub").exists():
            (keys / "ssh_host_ed25519_key.pub").write_text(
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHN0YW5kLWluIGhvc3Qga2V5IQ==\n"
            )
        (self.disk / "etc/machine-id").write_text(f"{self.name.encode().hex():0<32.32}\n")
        self.unit(self.disk, "innervate-report.service")
        self.say(f"runs as {(self.disk / 'etc/hostname').read_text().strip()}")
        if (self.disk / OPENSHIFT).exists():
            Bootstrap(self).run()
        else:
            Node(self).run()


def fetched(url: str) -> bytes:
    """Whoever does not answer is asked again, as everything does that starts a machine; an answer is an answer."""
    for _ in range(120):
        try:
            return fetched_once(url)
        except HTTPError:
            raise
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(url)


def fetched_once(url: str) -> bytes:
    with urlopen(url, timeout=30) as answer:  # noqa: S310  the appliance's
        return bytes(answer.read())


class Api:
    """An API server, asked with what a kubeconfig holds."""

    def __init__(self, kubeconfig: str, host: str = "", pair: tuple[str, str] | None = None) -> None:
        said = yaml.safe_load(kubeconfig)
        place, user = said["clusters"][0]["cluster"], said["users"][0]["user"]
        self.url = urlsplit(place["server"])
        self.host = host or str(self.url.hostname)
        self.token = user.get("token", "") if pair is None else ""
        self.context = ssl.create_default_context(cadata=base64.b64decode(place["certificate-authority-data"]).decode())
        if pair is None and "client-key-data" in user:
            parts = (user["client-certificate-data"], user["client-key-data"])
            pair = (base64.b64decode(parts[0]).decode(), base64.b64decode(parts[1]).decode())
        if pair is not None:
            with tempfile.NamedTemporaryFile("w") as file:
                file.write("\n".join(pair))
                file.flush()
                self.context.load_cert_chain(file.name)

    def ask(
        self, method: str, path: str, body: Object | None = None, kind: str = "application/json"
    ) -> tuple[int, Object]:
        connection = http.client.HTTPSConnection(self.host, 6443, timeout=20, context=self.context)
        raw = None if body is None else json.dumps(body)
        headers = {"Content-Type": kind, **({"Authorization": f"Bearer {self.token}"} if self.token else {})}
        http.client.HTTPConnection.connect(connection)
        connection.sock = self.context.wrap_socket(connection.sock, server_hostname=str(self.url.hostname))
        try:
            connection.request(method, path, raw, headers)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text.startswith(b"{") else {}
        finally:
            connection.close()

    def until(self, method: str, path: str, body: Object | None = None, kind: str = "application/json") -> Object:
        """Until it is done: conflicts are done, too, what does not answer is asked again."""
        while True:
            try:
                status, said = self.ask(method, path, body, kind)
            except (OSError, http.client.HTTPException, ValueError):
                status, said = 0, {}
            if status in (200, 201, 409):
                return said
            time.sleep(0.3)


class Node:
    """As a kubelet comes in: a client's certificate, itself, a server's certificate, and well from then on."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.root = machine.disk
        self.joining = (self.root / "etc/kubernetes/kubeconfig").read_text()

    def run(self) -> None:
        machine = self.machine
        if machine.name == machine.planes[0]:
            serve(machine, machine.shared)
            serve_configs(machine, machine.shared)
        key = ec.generate_private_key(ec.SECP256R1())
        pair = self.certificate(Api(self.joining), key, "kubernetes.io/kube-apiserver-client-kubelet", "client auth")
        me = Api(self.joining, pair=pair)
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": machine.name}}
        me.until("POST", "/api/v1/nodes", node)
        self.report(me, ready=False)
        self.certificate(me, ec.generate_private_key(ec.SECP256R1()), "kubernetes.io/kubelet-serving", "server auth")
        self.report(me, ready=True)
        machine.say("is ready")
        if machine.name == machine.planes[0]:
            operate(machine)
        signal.pause()

    def report(self, me: Api, *, ready: bool) -> None:
        addresses = [{"type": "InternalIP", "address": self.machine.address}]
        condition = {
            "type": "Ready",
            "status": str(ready),
            "reason": "stand-in",
            "message": "its certificate is awaited",
        }
        info = {"kubeletVersion": "v1.20.2"}
        body = {"status": {"addresses": addresses, "conditions": [condition], "nodeInfo": info}}
        path = f"/api/v1/nodes/{self.machine.name}/status"
        me.until("PATCH", path, body, "application/strategic-merge-patch+json")

    def certificate(self, api: Api, key: ec.EllipticCurvePrivateKey, signer: str, purpose: str) -> tuple[str, str]:
        names = [(NameOID.ORGANIZATION_NAME, "system:nodes"), (NameOID.COMMON_NAME, f"system:node:{self.machine.name}")]
        builder = x509.CertificateSigningRequestBuilder().subject_name(
            x509.Name([x509.NameAttribute(*one) for one in names])
        )
        if purpose == "server auth":
            here = [x509.DNSName(self.machine.name), x509.IPAddress(ip_address(self.machine.address))]
            builder = builder.add_extension(x509.SubjectAlternativeName(here), critical=False)
        pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        name = f"csr-{self.machine.name}-{purpose.partition(' ')[0]}"
        usages = ["digital signature", "key encipherment", purpose]
        spec = {"signerName": signer, "usages": usages, "request": base64.b64encode(pem).decode()}
        request = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest"}
        path = REQUESTS
        api.until("POST", path, {**request, "metadata": {"name": name}, "spec": spec})
        while not (given := api.until("GET", f"{path}/{name}").get("status", {}).get("certificate")):
            time.sleep(0.3)
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return base64.b64decode(given).decode(), key.private_bytes(*form).decode()


class Bootstrap:
    """What bootkube comes to: the API, who signs, machine configs, and the word that it is done."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.here = machine, machine.disk / OPENSHIFT

    def run(self) -> None:
        shutil.copytree(self.here, self.machine.shared, dirs_exist_ok=True)
        serve(self.machine, self.here)
        serve_configs(self.machine, self.here)
        admin = Api((self.here / "auth/kubeconfig").read_text(), host=self.machine.address)
        admin.until("GET", "/readyz?verbose")
        self.sign()
        self.prepare(admin)
        plane = Api((self.here / "auth/kubeconfig").read_text(), host=self.machine.first)
        plane.until("GET", "/api/v1/nodes")
        while ready(plane) < set(self.machine.planes):
            time.sleep(0.3)
        about = {"name": "bootstrap", "namespace": "kube-system"}
        word = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": {"status": "complete"}}
        plane.until("POST", "/api/v1/namespaces/kube-system/configmaps", word)
        self.machine.say("is complete")
        signal.pause()

    def sign(self) -> None:
        tls = self.here / "tls"
        words = [f"--kubeconfig={self.here / 'local.conf'}", "--controllers=csrsigning", "--leader-elect=false"]
        words += [
            f"--cluster-signing-cert-file={tls / 'root-ca.crt'}",
            f"--cluster-signing-key-file={tls / 'root-ca.key'}",
        ]
        said = yaml.safe_load((self.here / "auth/kubeconfig").read_text())
        said["clusters"][0]["cluster"]["tls-server-name"] = urlsplit(said["clusters"][0]["cluster"]["server"]).hostname
        said["clusters"][0]["cluster"]["server"] = f"https://{self.machine.address}:6443"
        (self.here / "local.conf").write_text(yaml.safe_dump(said))
        started(self.machine, "kube-controller-manager", *words, "--port=0", "--secure-port=0")

    def prepare(self, admin: Api) -> None:
        """Kinds of OKD with their true groups and versions, and who may ask for a first certificate."""
        for group, kind, plural in KINDS:
            admin.until(
                "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition(group, kind, plural)
            )
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:node-bootstrapper"}
        who = {"kind": "ServiceAccount", "name": "node-bootstrapper", "namespace": "openshift-machine-config-operator"}
        binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "roleRef": role}
        path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
        admin.until("POST", path, {**binding, "metadata": {"name": "node-bootstrapper"}, "subjects": [who]})


CONFIG = "config.openshift.io"
POOLS = "machineconfiguration.openshift.io"
KINDS = (
    (CONFIG, "ClusterVersion", "clusterversions"),
    (CONFIG, "ClusterOperator", "clusteroperators"),
    (POOLS, "MachineConfigPool", "machineconfigpools"),
)


def definition(group: str, kind: str, plural: str) -> Object:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema, "subresources": {"status": {}}}
    names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
    spec = {"group": group, "scope": "Cluster", "names": names, "versions": [version]}
    about = {"name": f"{plural}.{group}"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": about,
        "spec": spec,
    }


def operate(machine: Machine) -> None:
    """What the operators come to: not well until every node is ready."""
    api = Api((machine.shared / "auth/kubeconfig").read_text(), host=machine.address)
    things = [(CONFIG, "ClusterVersion", "clusterversions", "version")]
    things += [(CONFIG, "ClusterOperator", "clusteroperators", name) for name in ("etcd", "ingress", "kube-apiserver")]
    things += [(POOLS, "MachineConfigPool", "machineconfigpools", name) for name in ("master", "worker")]
    for group, kind, plural, name in things:
        base = f"/apis/{group}/v1/{plural}"
        api.until("POST", base, {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": name}, "spec": {}})
        conditions(api, f"{base}/{name}/status", machine, well=False)
    while ready(api) < {*machine.planes, *machine.workers}:
        time.sleep(0.3)
    for group, _, plural, name in things:
        conditions(api, f"/apis/{group}/v1/{plural}/{name}/status", machine, well=True)


def conditions(api: Api, path: str, machine: Machine, *, well: bool) -> None:
    wanted = {"Available": well, "Updated": well, "Progressing": not well, "Updating": not well, "Degraded": False}
    listed = [{"type": kind, "status": str(holds), "message": "stand-in"} for kind, holds in wanted.items()]
    history = [{"state": "Completed" if well else "Partial", "version": machine.version}]
    body = {"status": {"conditions": listed, "history": history}}
    api.until("PATCH", path, body, "application/merge-patch+json")


def ready(api: Api) -> set[str]:
    found = api.until("GET", "/api/v1/nodes").get("items", [])
    return {
        one["metadata"]["name"] for one in found if {"type": "Ready", "status": "True"}.items() <= state(one).items()
    }


def state(node: Object) -> Object:
    said = node.get("status", {}).get("conditions", [])
    return {"type": "Ready", "status": next((one["status"] for one in said if one["type"] == "Ready"), "")}


def configs_of(here: Path) -> type[http.server.BaseHTTPRequestHandler]:
    class Configs(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = here / "machine-configs" / f"{Path(self.path).name}.ign"
            body = path.read_bytes() if self.path.startswith("/config/") and path.exists() else b""
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """A console of its own says enough."""

    return Configs


def serve(machine: Machine, here: Path) -> None:
    """A real API server at this machine's address, with the keys of the cluster."""
    tls = here / "tls"
    words = [f"--etcd-servers={machine.etcd}", "--secure-port=6443", f"--advertise-address={machine.address}"]
    words += [f"--tls-cert-file={tls / 'kube-apiserver.crt'}", f"--tls-private-key-file={tls / 'kube-apiserver.key'}"]
    words += [f"--client-ca-file={tls / 'root-ca.crt'}", f"--token-auth-file={tls / 'tokens.csv'}"]
    words += [f"--service-account-{one}={tls / 'service-account.key'}" for one in ("key-file", "signing-key-file")]
    words += ["--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=Node,RBAC"]
    words += [
        f"--service-cluster-ip-range={(here / 'services').read_text()}",
        "--enable-admission-plugins=NodeRestriction",
    ]
    words += ["--disable-admission-plugins=ServiceAccount", "--bind-address=0.0.0.0", f"--cert-dir={machine.folder}"]
    started(machine, "kube-apiserver", *words)


def serve_configs(machine: Machine, here: Path) -> None:
    """The machine config server, by TLS with the certificate of its own authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(here / "tls/machine-config-server.crt", here / "tls/machine-config-server.key")
    server = http.server.ThreadingHTTPServer((machine.address, 22623), configs_of(here))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def started(machine: Machine, program: str, *words: str) -> None:
    """Ends with this machine."""
    with (machine.folder / f"{program}.log").open("a") as log:
        argv = ["setpriv", "--pdeathsig", "KILL", str(machine.programs / program), *words]
        subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def main() -> None:
    machine = Machine(Path(sys.argv[1]))
    machine.say("is switched on")
    try:
        machine.live()
        machine.run()
    except Exception as error:
        machine.say(f"fails: {type(error).__name__}: {error}")
        raise


if __name__ == "__main__":
    main()
