# ruff: noqa: T201, A002  people read what it prints; a base class has its own words
"""What a server runs beside: etcd, API server, controller manager, scheduler; and how it comes to be one.

Its keys lie in the cluster's own memory, encrypted with the servers' token, as the genuine program has it; here they
are a Secret, since the API server is a program of its own. Workers find theirs in another one, which the genuine
program signs for them instead.
"""

import base64
import hashlib
import http.client
import http.server
import json
import re
import shutil
import ssl
import threading
import time
import urllib.error
from pathlib import Path
from typing import Any

import certs
from api import MERGE, Api, kubeconfig
from cryptography.fernet import Fernet, InvalidToken
from processes import Children

FINALIZER = "wrangler.cattle.io/managed-etcd-controller"
_SECRETS = "/api/v1/namespaces/kube-system/secrets"
_CONFIGS = "/api/v1/namespaces/kube-public/configmaps"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_KEYS = ("server-ca", "client-ca", "request-header-ca", "etcd/ca", "service")


def cipher(token: str) -> Fernet:
    key = hashlib.pbkdf2_hmac("sha256", token.encode(), b"bootstrap", 4096)
    return Fernet(base64.urlsafe_b64encode(key))


def secret_of(token: str) -> str:
    """The password alone, of `K10HASH::server:PASSWORD` too."""
    return token.rpartition("::")[2].removeprefix("server:")


class Server:
    def __init__(self, program: str, config: dict[str, Any], children: Children) -> None:
        self.program, self.config, self.children = program, config, children
        self.data = Path(f"/var/lib/rancher/{program}/server")
        self.tls, self.db = self.data / "tls", self.data / "db"
        self.name, self.address = str(config["node-name"]), str(config["node-ip"])
        self.token = secret_of(str(config["token"]))
        self.mark = f"etcd.{program}.cattle.io"

    @property
    def admin(self) -> Api:
        return Api("https://127.0.0.1:6443", self.tls / "server-ca.crt", self.tls / "client-admin")

    def start(self) -> None:
        if not (self.tls / "server-ca.key").exists():
            if "server" in self.config:
                self._fetch_keys()
            elif (self.db / "etcd").exists():
                raise SystemExit("the keys of this server are gone, and its memory is not")
        self._certificates()
        self._etcd()
        self._api_server()
        self.children.until(self.admin.is_ready, "the API server")
        self._publish()
        for name, more in (("kube-controller-manager", self._manager()), ("kube-scheduler", ())):
            more = (*more, "--leader-elect-lease-duration=60s", "--leader-elect-renew-deadline=40s")
            config = f"--kubeconfig={self.data}/cred/admin.kubeconfig"
            self.children.start(name, name, config, "--bind-address=127.0.0.1", *more, again=True)
        if self.program == "rke2":
            _supervisor(self.tls)

    def _fetch_keys(self) -> None:
        api = Api(str(self.config["server"]), None, token=self.token)
        verify(api, str(self.config["token"]))
        try:
            found = api.ask("GET", f"{_SECRETS}/standin-bootstrap")
        except urllib.error.HTTPError as error:
            raise SystemExit(f"failed to validate token: {error.code} {error.reason}") from error
        self._open_keys(base64.b64decode(found["data"]["keys"]))

    def _open_keys(self, sealed: bytes) -> None:
        try:
            keys = json.loads(cipher(self.token).decrypt(sealed))
        except InvalidToken as error:
            raise SystemExit("bootstrap data cannot be decrypted: the token is another one") from error
        for name, text in keys.items():
            certs.write(self.tls / name, text.encode())

    def _certificates(self) -> None:
        for name in ("server-ca", "client-ca", "request-header-ca", "etcd/ca"):
            certs.authority(self.tls / name, f"{self.program}-{name.replace('/', '-')}")
        certs.service_key(self.tls / "service.key")
        client, server, etcd = self.tls / "client-ca", self.tls / "server-ca", self.tls / "etcd/ca"
        certs.issue(client, self.tls / "client-admin", "system:admin", ("system:masters",))
        certs.issue(client, self.tls / "client-kube-apiserver", "kube-apiserver", ("system:masters",))
        certs.issue(self.tls / "request-header-ca", self.tls / "client-auth-proxy", "system:auth-proxy")
        first = str(next(_network(self.config["service-cidr"]).hosts()))
        names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost", self.name)
        sans = (*names, "127.0.0.1", self.address, first, *map(str, self.config.get("tls-san", ())))
        certs.issue(server, self.tls / "serving-kube-apiserver", "kube-apiserver", sans=sans)
        certs.issue(etcd, self.tls / "etcd/member", self.name, sans=("localhost", "127.0.0.1", self.address))
        hash_ = hashlib.sha256((self.tls / "server-ca.crt").read_bytes()).hexdigest()
        certs.write(self.data / "token", f"K10{hash_}::server:{self.token}\n".encode())
        link = self.data / "node-token"
        if not link.is_symlink():
            link.symlink_to("token")
        text = kubeconfig("https://127.0.0.1:6443", self.tls / "server-ca.crt", self.tls / "client-admin").encode()
        certs.write(Path(f"/etc/rancher/{self.program}/{self.program}.yaml"), text)
        certs.write(self.data / "cred/admin.kubeconfig", text)

    def _etcd(self) -> None:
        folder, name = self.db / "etcd", self.db / "name"
        if not name.exists():
            certs.write(name, f"{self.name}-{hashlib.sha256(str(time.time_ns()).encode()).hexdigest()[:8]}".encode())
        self.member = name.read_text()
        peer = f"https://{self.address}:2380"
        first = [f"--initial-cluster={self.member}={peer}", "--initial-cluster-state=new"]
        if "server" in self.config and not (folder / "member").exists():
            first = [f"--initial-cluster={self._added(peer)}", "--initial-cluster-state=existing"]
        pair = (f"--cert-file={self.tls}/etcd/member.crt", f"--key-file={self.tls}/etcd/member.key")
        peers = (f"--peer-cert-file={self.tls}/etcd/member.crt", f"--peer-key-file={self.tls}/etcd/member.key")
        self.children.start(
            "etcd",
            "etcd",
            f"--name={self.member}",
            f"--data-dir={folder}",
            f"--listen-client-urls=https://127.0.0.1:2379,https://{self.address}:2379",
            f"--advertise-client-urls=https://{self.address}:2379",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            *first,
            *pair,
            *peers,
            f"--trusted-ca-file={self.tls}/etcd/ca.crt",
            f"--peer-trusted-ca-file={self.tls}/etcd/ca.crt",
            "--client-cert-auth",
            "--peer-client-cert-auth",
        )
        self.children.until(self._healthy, "etcd")

    def _added(self, peer: str) -> str:
        """The members, with this one among them: what was added before and never came is added anew."""
        api = Api(str(self.config["server"]), self.tls / "server-ca.crt", token=self.token)
        servers = api.ask("GET", "/api/v1/nodes?labelSelector=node-role.kubernetes.io/etcd%3Dtrue")["items"]
        ends = [node["metadata"]["annotations"][f"{self.mark}/node-address"] for node in servers]
        if self.name in [node["metadata"]["name"] for node in servers]:
            raise SystemExit("duplicate node name found, please use a unique name for this node")
        where = f"--endpoints={','.join(f'https://{end}:2379' for end in ends)}"
        for line in self.etcdctl("member", "list", where).splitlines():
            id_, _, _, urls, *_ = line.split(", ")
            if urls == peer:
                self.etcdctl("member", "remove", id_, where)
        said = self.etcdctl("member", "add", self.member, f"--peer-urls={peer}", where)
        found = re.search(r'ETCD_INITIAL_CLUSTER="([^"]*)"', said)
        assert found, said
        return found[1]

    def etcdctl(self, *argv: str) -> str:
        member = self.tls / "etcd/member"
        pair = (f"--cacert={self.tls}/etcd/ca.crt", f"--cert={member}.crt", f"--key={member}.key")
        where = () if any(word.startswith("--endpoints") for word in argv) else ("--endpoints=https://127.0.0.1:2379",)
        return self.children.run("etcdctl", *pair, *where, *argv)

    def _healthy(self) -> bool:
        try:
            self.etcdctl("endpoint", "health")
        except SystemExit:
            return False
        return True

    def _api_server(self) -> None:
        tokens = self.data / "cred/passwd"
        certs.write(tokens, f'{self.token},server,server,"{self.program}:server"\n'.encode())
        issuer = "https://kubernetes.default.svc.cluster.local"
        arguments = {
            "anonymous-auth": "false",
            "advertise-address": self.address,
            "allow-privileged": "true",
            "api-audiences": f"{issuer},{self.program}",
            "authorization-mode": "Node,RBAC",
            "bind-address": "0.0.0.0",
            "client-ca-file": f"{self.tls}/client-ca.crt",
            "enable-admission-plugins": "NodeRestriction",
            "enable-bootstrap-token-auth": "true",
            "etcd-cafile": f"{self.tls}/etcd/ca.crt",
            "etcd-certfile": f"{self.tls}/etcd/member.crt",
            "etcd-keyfile": f"{self.tls}/etcd/member.key",
            "etcd-servers": "https://127.0.0.1:2379",
            "kubelet-certificate-authority": f"{self.tls}/server-ca.crt",
            "kubelet-client-certificate": f"{self.tls}/client-kube-apiserver.crt",
            "kubelet-client-key": f"{self.tls}/client-kube-apiserver.key",
            "kubelet-preferred-address-types": "InternalIP,Hostname",
            "proxy-client-cert-file": f"{self.tls}/client-auth-proxy.crt",
            "proxy-client-key-file": f"{self.tls}/client-auth-proxy.key",
            "requestheader-allowed-names": "system:auth-proxy",
            "requestheader-client-ca-file": f"{self.tls}/request-header-ca.crt",
            "requestheader-extra-headers-prefix": "X-Remote-Extra-",
            "requestheader-group-headers": "X-Remote-Group",
            "requestheader-username-headers": "X-Remote-User",
            "secure-port": "6443",
            "service-account-issuer": issuer,
            "service-account-key-file": f"{self.tls}/service.key",
            "service-account-signing-key-file": f"{self.tls}/service.key",
            "service-cluster-ip-range": str(self.config["service-cidr"]),
            "tls-cert-file": f"{self.tls}/serving-kube-apiserver.crt",
            "tls-private-key-file": f"{self.tls}/serving-kube-apiserver.key",
            "token-auth-file": str(tokens),
        }
        for more in self.config.get("kube-apiserver-arg", ()):
            name, _, value = more.partition("=")
            arguments[name] = value
        self.children.start("kube-apiserver", "kube-apiserver", *(f"--{one}={is_}" for one, is_ in arguments.items()))

    def _manager(self) -> tuple[str, ...]:
        return (
            "--allocate-node-cidrs=true",
            f"--cluster-cidr={self.config['cluster-cidr']}",
            "--controllers=*,tokencleaner",
            f"--root-ca-file={self.tls}/server-ca.crt",
            f"--service-account-private-key-file={self.tls}/service.key",
            f"--service-cluster-ip-range={self.config['service-cidr']}",
            "--use-service-account-credentials=true",
        )

    def _publish(self) -> None:
        """What others need to come in."""
        keys = {
            f"{name}.{end}": (self.tls / f"{name}.{end}").read_text()
            for name in _KEYS
            for end in ("crt", "key")
            if (self.tls / f"{name}.{end}").exists()
        }
        sealed = cipher(self.token).encrypt(json.dumps(keys).encode())
        lent = {name: keys[name] for name in ("client-ca.crt", "client-ca.key", "server-ca.crt", "server-ca.key")}
        api = self.admin
        api.put(_SECRETS, _secret("standin-bootstrap", {"keys": sealed.decode()}))
        api.put(_SECRETS, _secret("standin-agents", lent))
        authority = {"ca.crt": keys["server-ca.crt"], "cluster-cidr": str(self.config["cluster-cidr"])}
        authority["dns"] = str(self.config.get("cluster-dns", ""))
        api.put(
            _CONFIGS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "standin-ca"}, "data": authority}
        )
        read = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["standin-ca"], "verbs": ["get"]}
        _allow(api, "kube-public", "standin-ca", read, ("system:unauthenticated", "system:authenticated"))
        secrets = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
        lends = {**secrets, "resourceNames": ["standin-agents"]}
        _allow(api, "kube-system", "standin-agents", lends, ("system:bootstrappers",))
        keeps = {**secrets, "resourceNames": ["standin-bootstrap"]}
        _allow(api, "kube-system", "standin-bootstrap", keeps, (f"{self.program}:server",))
        nodes = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}
        rules = {"metadata": {"name": "standin-servers"}, "rules": [nodes]}
        api.put(f"{_RBAC}/clusterroles", {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", **rules})
        api.put(f"{_RBAC}/clusterrolebindings", _binding("standin-servers", "ClusterRole", (f"{self.program}:server",)))
        proxies = _binding("standin-proxies", "ClusterRole", (), user="system:kube-proxy", role="system:node-proxier")
        api.put(f"{_RBAC}/clusterrolebindings", proxies)
        path = "/apis/apps/v1/namespaces/kube-system/deployments"
        api.put(path, _names())

    def tend(self) -> None:
        """What the genuine program's controllers do for nodes that are servers."""
        api = self.admin
        nodes = api.ask("GET", "/api/v1/nodes")["items"]
        servers = [n for n in nodes if n["metadata"]["labels"].get("node-role.kubernetes.io/etcd") == "true"]
        for node in nodes:
            meta = node["metadata"]
            known = meta.get("annotations", {}).get(f"{self.mark}/node-name") == self.member
            if meta["name"] == self.name and not (known and FINALIZER in meta.get("finalizers", ())):
                self._mark(api, meta.get("finalizers", []))
            elif meta["name"] != self.name or len(servers) == 1:
                self._release(api, meta)

    def _mark(self, api: Api, finalizers: list[str]) -> None:
        roles = ("control-plane", "master", "etcd")
        labels = {f"node-role.kubernetes.io/{role}": "true" for role in roles}
        notes = {f"{self.mark}/node-name": self.member, f"{self.mark}/node-address": self.address}
        meta = {"labels": labels, "annotations": notes, "finalizers": sorted({*finalizers, FINALIZER})}
        api.ask("PATCH", f"/api/v1/nodes/{self.name}", {"metadata": meta}, MERGE)

    def _release(self, api: Api, meta: dict[str, Any]) -> None:
        notes, path = meta.get("annotations", {}), f"/api/v1/nodes/{meta['name']}"
        wanted = notes.get(f"{self.mark}/remove") == "true" and f"{self.mark}/removed-node-name" not in notes
        if wanted:
            self._forget(notes.get(f"{self.mark}/node-name", ""))
            said = {
                f"{self.mark}/removed-node-name": notes.get(f"{self.mark}/node-name"),
                f"{self.mark}/node-name": None,
            }
            api.ask("PATCH", path, {"metadata": {"annotations": said}}, MERGE)
        if "deletionTimestamp" in meta and FINALIZER in meta.get("finalizers", ()):
            self._forget(notes.get(f"{self.mark}/node-name", ""))
            left = [one for one in meta["finalizers"] if one != FINALIZER]
            api.ask("PATCH", path, {"metadata": {"finalizers": left}}, MERGE)

    def _forget(self, member: str) -> None:
        for line in self.etcdctl("member", "list").splitlines():
            id_, _, name, *_ = line.split(", ")
            if member and name == member:
                self.etcdctl("member", "remove", id_)

    def save(self, name: str) -> str:
        folder = self.db / "snapshots"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{name}-{self.name}-{int(time.time())}"
        self.etcdctl("snapshot", "save", str(path))
        return f"Snapshot {path.name} saved."

    def reset(self, snapshot: str) -> None:
        """The only server, with what the snapshot remembers: then it waits to be started without these flags."""
        flag = self.db / "reset-flag"
        if flag.exists():
            raise SystemExit(f"Managed etcd cluster membership was previously reset: remove {flag} to reset it again")
        if (self.db / "etcd").exists():
            (self.db / "etcd").rename(self.db / f"etcd-old-{int(time.time())}")
        self.db.mkdir(parents=True, exist_ok=True)
        self.member = f"{self.name}-{hashlib.sha256(snapshot.encode()).hexdigest()[:8]}"
        certs.write(self.db / "name", self.member.encode())
        peer = f"https://{self.address}:2380"
        first = (f"--initial-cluster={self.member}={peer}", f"--initial-advertise-peer-urls={peer}")
        into = f"--data-dir={self.db}/etcd"
        self.children.run("etcdctl", "snapshot", "restore", snapshot, into, f"--name={self.member}", *first)
        self._keys_of_memory(snapshot)
        flag.touch()
        print("Managed etcd cluster membership has been reset, restart without --cluster-reset flag now.")

    def _keys_of_memory(self, snapshot: str) -> None:
        """Read from a copy, by an etcd of its own."""
        copy = self.db / "reading"
        shutil.rmtree(copy, ignore_errors=True)
        self.children.run("etcdctl", "snapshot", "restore", snapshot, f"--data-dir={copy}", "--name=default")
        here = "http://127.0.0.1:12379"
        urls = (f"--listen-client-urls={here}", f"--advertise-client-urls={here}")
        self.children.start("reading", "etcd", f"--data-dir={copy}", *urls, "--listen-peer-urls=http://127.0.0.1:12380")
        path = "/registry/secrets/kube-system/standin-bootstrap"
        for _ in range(100):
            try:
                said = self.children.run("etcdctl", f"--endpoints={here}", "get", path, "--write-out=json")
                break
            except SystemExit:
                time.sleep(0.3)
        self.children.end("reading")
        shutil.rmtree(copy)
        value = base64.b64decode(json.loads(said)["kvs"][0]["value"])
        found = re.search(rb"gAAAA[A-Za-z0-9_=-]+", value)
        assert found, value[:200]
        self._open_keys(found[0])


def verify(api: Api, token: str) -> dict[str, str]:
    """What the cluster says of itself, once it has shown the authority that the token names."""
    said = api.ask("GET", f"{_CONFIGS}/standin-ca")["data"]
    wanted = token.removeprefix("K10").partition("::")[0] if token.startswith("K10") else ""
    has = hashlib.sha256(said["ca.crt"].encode()).hexdigest()
    if wanted and wanted != has:
        raise SystemExit(f"token CA hash does not match the Cluster CA certificate hash: {wanted} != {has}")
    return dict(said)


def _secret(name: str, data: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def _allow(api: Api, namespace: str, name: str, rule: dict[str, Any], groups: tuple[str, ...]) -> None:
    api.put(
        f"{_RBAC}/namespaces/{namespace}/roles",
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}, "rules": [rule]},
    )
    api.put(f"{_RBAC}/namespaces/{namespace}/rolebindings", _binding(name, "Role", groups))


def _binding(name: str, kind: str, groups: tuple[str, ...], user: str = "", role: str = "") -> dict[str, Any]:
    group = "rbac.authorization.k8s.io"
    subjects = [{"kind": "Group", "name": one, "apiGroup": group} for one in groups]
    subjects += [{"kind": "User", "name": user, "apiGroup": group}] if user else []
    return {
        "apiVersion": f"{group}/v1",
        "kind": f"{kind}Binding",
        "metadata": {"name": name},
        "subjects": subjects,
        "roleRef": {"kind": kind, "name": role or name, "apiGroup": group},
    }


def _names() -> dict[str, Any]:
    """A pod of the cluster's own in the place of its name service: it answers nobody's question."""
    labels = {"k8s-app": "kube-dns", "stand-in": "true"}
    container = {
        "name": "coredns",
        "image": "rancher/mirrored-coredns-coredns:1.8.0",
        "command": ["etcd", "--data-dir=/tmp/data", "--listen-client-urls=http://0.0.0.0:2379"],
        "args": ["--advertise-client-urls=http://0.0.0.0:2379"],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 2379}, "periodSeconds": 1},
    }
    spec = {"containers": [container], "enableServiceLinks": False, "tolerations": [{"operator": "Exists"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "coredns"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def _network(text: object) -> Any:
    import ipaddress

    return ipaddress.ip_network(str(text))


def _supervisor(tls: Path) -> None:
    """On 9345: /ping and /cacerts for everybody, and what members ask of the API while they join."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/ping":
                return self._say(200, b"pong")
            if self.path == "/cacerts":
                return self._say(200, (tls / "server-ca.crt").read_bytes())
            context = ssl.create_default_context(cafile=str(tls / "server-ca.crt"))
            ask = http.client.HTTPSConnection("127.0.0.1", 6443, timeout=10, context=context)
            given = {"Authorization": self.headers["Authorization"]} if "Authorization" in self.headers else {}
            ask.request("GET", self.path, headers=given)
            answer = ask.getresponse()
            return self._say(answer.status, answer.read())

        def _say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    listening = http.server.ThreadingHTTPServer(("0.0.0.0", 9345), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls / "serving-kube-apiserver.crt", tls / "serving-kube-apiserver.key")
    listening.socket = context.wrap_socket(listening.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
