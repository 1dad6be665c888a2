#!/usr/bin/env python3
"""STAND-IN for openshift-install, for tests: it is none of OKD's, and says so wherever it can.

It reads the same files, refuses what the real one refuses, consumes what that consumes, and leaves the same tree. Its
model of the two configs is its own (openshift/installer, pkg/types/installconfig.go and pkg/types/agent), so that a
mistake of whoever renders them does not pass. It needs no other module of this repository: a copy of it is a program.
"""

import argparse
import base64
import datetime
import hashlib
import http.client
import ipaddress
import json
import re
import secrets
import shutil
import ssl
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VERSION = "4.19.0-okd-scos.10"
KINDS = ("kernel", "initramfs", "rootfs")
DAY = datetime.timedelta(days=1)
JOINER = "system:serviceaccount:openshift-machine-config-operator:node-bootstrapper"
ISO = "bootstrap-in-place-for-live-iso.ign"
STATE = ".openshift_install_state.json"
Object = dict[str, Any]


def boot_file(kind: str) -> bytes:
    """The live files of this release: enough to be fetched and hashed."""
    return f"STAND-IN: SCOS live {kind} of {VERSION}\n".encode() * 2000


def say(level: str, text: str) -> None:
    sys.stderr.write(
        f'time="{time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}" level={level} msg={json.dumps(text)}\n'
    )
    sys.stderr.flush()


def fatal(text: str) -> NoReturn:
    say("fatal", text)
    raise SystemExit(3)


def stream() -> Object:
    files = {kind: {"location": "", "sha256": hashlib.sha256(boot_file(kind)).hexdigest()} for kind in KINDS}
    metal = {"release": "9.0.20250510-0", "formats": {"pxe": files}}
    return {"stream": "c9s", "metadata": {}, "architectures": {"x86_64": {"artifacts": {"metal": metal}}}}


# What may stand where; a leaf says of which type a value is.
POOL: Object = {"name": str, "architecture": str, "hyperthreading": str, "replicas": int, "platform": dict}
INSTALL: Object = {
    "apiVersion": str,
    "baseDomain": str,
    "metadata": {"name": str},
    "controlPlane": POOL,
    "compute": [POOL],
    "networking": {
        "networkType": str,
        "clusterNetwork": [{"cidr": str, "hostPrefix": int}],
        "serviceNetwork": [str],
        "machineNetwork": [{"cidr": str}],
    },
    "platform": {"none": dict, "baremetal": dict, "external": dict},
    "imageDigestSources": [{"source": str, "mirrors": [str]}],
    "additionalTrustBundle": str,
    "additionalTrustBundlePolicy": str,
    "pullSecret": str,
    "sshKey": str,
    "bootstrapInPlace": {"installationDisk": str},
    "fips": bool,
    "publish": str,
    "featureSet": str,
    "cpuPartitioningMode": str,
    "capabilities": {"baselineCapabilitySet": str, "additionalEnabledCapabilities": [str]},
    "proxy": {"httpProxy": str, "httpsProxy": str, "noProxy": str},
}
AGENT: Object = {
    "apiVersion": str,
    "kind": str,
    "metadata": {"name": str},
    "rendezvousIP": str,
    "bootArtifactsBaseURL": str,
    "additionalNTPSources": [str],
    "minimalISO": bool,
    "hosts": [
        {
            "hostname": str,
            "role": str,
            "interfaces": [{"name": str, "macAddress": str}],
            "rootDeviceHints": {
                "wwn": str,
                "serialNumber": str,
                "deviceName": str,
                "hctl": str,
                "minSizeGigabytes": int,
            },
            "networkConfig": dict,
        }
    ],
}


def shaped(value: object, shape: Any, path: str, name: str) -> None:
    """Strict as the real one's decoder is: an unknown field ends it."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            fatal(f"failed to unmarshal {name}: json: cannot unmarshal {type(value).__name__} into {path or 'config'}")
        for key, inner in value.items():
            if key not in shape:
                fatal(f'failed to unmarshal {name}: error unmarshaling JSON: json: unknown field "{key}"')
            shaped(inner, shape[key], f"{path}.{key}", name)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            fatal(f"failed to unmarshal {name}: json: cannot unmarshal {type(value).__name__} into list {path}")
        for inner in value:
            shaped(inner, shape[0], path, name)
    elif not isinstance(value, shape) or (shape is int and isinstance(value, bool)):
        fatal(f"failed to unmarshal {name}: json: cannot unmarshal {type(value).__name__} into field {path}")


def read(folder: Path, name: str, shape: Object) -> Object:
    try:
        text = (folder / name).read_text()
    except OSError:
        fatal(f"failed to fetch Install Config: {name} is not found in {folder}")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        fatal(f"failed to unmarshal {name}: {error}")
    shaped(value, shape, "", name)
    return dict(value)


def install_config(folder: Path) -> Object:
    config = read(folder, "install-config.yaml", INSTALL)
    wrong = list(faults(config))
    if wrong:
        fatal(f'failed to fetch Install Config: invalid "install-config.yaml" file: [{", ".join(wrong)}]')
    return config


def faults(config: Object) -> list[str]:
    found = list[str]()
    if config.get("apiVersion") != "v1":
        found.append("apiVersion: Unsupported value")
    for path, text in (
        ("metadata.name", config.get("metadata", {}).get("name", "")),
        ("baseDomain", config.get("baseDomain", "")),
    ):
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,200}[a-z0-9])?", text):
            found.append(f'{path}: Invalid value: "{text}"')
    if len(config.get("platform", {})) != 1:
        found.append("platform: Invalid value: must specify one of the platforms")
    found += networks(config.get("networking", {}))
    found += trusts(config)
    planes = config.get("controlPlane", {})
    if planes.get("name") != "master":
        found.append('controlPlane.name: Unsupported value: supported values: "master"')
    if planes.get("replicas", 0) < 1:
        found.append("controlPlane.replicas: Invalid value: number of control plane replicas must be positive")
    if (here := config.get("bootstrapInPlace")) is not None:
        if planes.get("replicas") != 1:
            found.append("bootstrapInPlace: Invalid value: bootstrapInPlace requires controlPlane.replicas to be 1")
        if not str(here.get("installationDisk", "")).startswith("/dev/"):
            found.append("bootstrapInPlace.installationDisk: Required value")
    return found


def networks(config: Object) -> list[str]:
    found = list[str]()
    parts = [("clusterNetwork", one["cidr"]) for one in config.get("clusterNetwork", [])]
    parts += [("serviceNetwork", one) for one in config.get("serviceNetwork", [])]
    parts += [("machineNetwork", one["cidr"]) for one in config.get("machineNetwork", [])]
    try:
        parsed = [(name, ipaddress.ip_network(text)) for name, text in parts]
    except ValueError as error:
        return [f"networking: Invalid value: {error}"]
    if {name for name, _ in parsed} != {"clusterNetwork", "serviceNetwork", "machineNetwork"}:
        found.append("networking: Required value: all three networks")
    for at, (name, one) in enumerate(parsed):
        found += [
            f"networking.{name}: Invalid value: {one} overlaps {other}"
            for _, other in parsed[:at]
            if one.overlaps(other)
        ]
    for one in config.get("clusterNetwork", []):
        if not ipaddress.ip_network(one["cidr"]).prefixlen <= one.get("hostPrefix", 0) <= 30:
            found.append("networking.clusterNetwork.hostPrefix: Invalid value")
    return found


def trusts(config: Object) -> list[str]:
    found = list[str]()
    try:
        auths = json.loads(config.get("pullSecret", ""))["auths"]
        hosts = {name for name, one in auths.items() if ":" in base64.b64decode(one["auth"]).decode()}
    except (ValueError, KeyError, TypeError):
        return ["pullSecret: Invalid value: it must have auths, each with auth"]
    for source in config.get("imageDigestSources", []):
        if not source.get("mirrors") or not source.get("source"):
            found.append("imageDigestSources: Required value: source and mirrors")
        found += [
            f"pullSecret: no auth for {one}" for one in source.get("mirrors", []) if one.partition("/")[0] not in hosts
        ]
    if not re.fullmatch(r"(ssh-[a-z0-9-]+ [A-Za-z0-9+/=]+( .*)?\n?)+", config.get("sshKey", "")):
        found.append("sshKey: Invalid value: ssh: no key found")
    if (bundle := config.get("additionalTrustBundle")) is not None:
        try:
            x509.load_pem_x509_certificates(bundle.encode())
        except ValueError as error:
            found.append(f"additionalTrustBundle: Invalid value: {error}")
    return found


def create_manifests(folder: Path) -> None:
    config = install_config(folder)
    manifests, extra = folder / "manifests", folder / "openshift"
    for one in (manifests, extra):
        one.mkdir()
    scheduler = {
        "apiVersion": "config.openshift.io/v1",
        "kind": "Scheduler",
        "metadata": {"name": "cluster"},
        "spec": {"mastersSchedulable": config["compute"][0]["replicas"] == 0},
    }
    (manifests / "cluster-scheduler-02-config.yml").write_text(yaml.safe_dump(scheduler))
    for number in range(config["controlPlane"]["replicas"]):
        machine = {"apiVersion": "machine.openshift.io/v1beta1", "kind": "Machine"}
        name = f"99_openshift-cluster-api_master-machines-{number}.yaml"
        (extra / name).write_text(yaml.safe_dump(machine))
    (folder / STATE).write_text(json.dumps({"*installconfig.InstallConfig": {"config": config}}))
    (folder / "install-config.yaml").unlink()
    say("info", "Consuming Install Config from target directory")
    say("info", f"Manifests created in: {manifests} and {extra}")


def consumed(folder: Path) -> tuple[Object, Object]:
    """What an earlier call was told, and what is left of the manifests that it made."""
    if (folder / "install-config.yaml").exists():
        create_manifests(folder)
    try:
        config = json.loads((folder / STATE).read_text())["*installconfig.InstallConfig"]["config"]
    except OSError:
        fatal(f"failed to fetch Install Config: install-config.yaml is not found in {folder}")
    made: Object = {}
    for part in ("manifests", "openshift"):
        for path in sorted((folder / part).glob("*")) if (folder / part).is_dir() else ():
            made[f"{part}/{path.name}"] = path.read_text()
    if not made:
        fatal("failed to fetch Bootstrap Ignition Config: no manifests")
    for part in ("manifests", "openshift"):
        shutil.rmtree(folder / part, ignore_errors=True)
    return config, made


class Authority:
    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._signed(self.name, self.key.public_key(), ())

    def _signed(self, subject: x509.Name, key: Any, names: tuple[str, ...], client: str = "") -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + DAY)
        builder = builder.add_extension(
            x509.BasicConstraints(ca=not names and not client, path_length=None), critical=True
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([general(one) for one in names]), critical=False
            )
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        if names or client:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def served(self, *names: str) -> tuple[str, str]:
        """Certificate and key of a server, in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        return pem(self._signed(subject, key.public_key(), names)), key_pem(key)

    def client(self, name: str, group: str) -> tuple[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        parts = [(NameOID.ORGANIZATION_NAME, group), (NameOID.COMMON_NAME, name)]
        subject = x509.Name([x509.NameAttribute(kind, text) for kind, text in parts])
        return pem(self._signed(subject, key.public_key(), (), client=name)), key_pem(key)

    @property
    def pem(self) -> str:
        return pem(self.certificate)


def general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    return key.private_bytes(*form).decode()


def data(text: str) -> str:
    return f"data:text/plain;charset=utf-8;base64,{encoded(text)}"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def ignition(files: dict[str, str], **more: object) -> Object:
    listed = [
        {"path": path, "mode": 384, "overwrite": True, "contents": {"source": data(text)}}
        for path, text in sorted(files.items())
    ]
    return {"ignition": {"version": "3.2.0", **more}, "storage": {"files": listed}}


def pointer(zone: str, role: str, authority: str) -> Object:
    tls = {"tls": {"certificateAuthorities": [{"source": data(authority)}]}}
    merge = [{"source": f"https://api-int.{zone}:22623/config/{role}"}]
    return {"ignition": {"config": {"merge": merge}, "security": tls, "version": "3.2.0"}}


def kubeconfig(zone: str, inside: str, authority: str, user: Object) -> str:
    place = {"server": f"https://{inside}.{zone}:6443", "certificate-authority-data": encoded(authority)}
    return str(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": zone.partition(".")[0], "cluster": place}],
                "contexts": [{"name": "admin", "context": {"cluster": zone.partition(".")[0], "user": "admin"}}],
                "current-context": "admin",
                "users": [{"name": "admin", "user": user}],
            }
        )
    )


def trust(config: Object, manifests: Object) -> tuple[Object, dict[str, str], Authority]:
    """The Ignition of the bootstrap machine, files of `auth`, and who signs for the machine config server."""
    zone = f"{config['metadata']['name']}.{config['baseDomain']}"
    root, mcs = Authority("root-ca"), Authority("machine-config-server-ca")
    service = str(ipaddress.ip_network(config["networking"]["serviceNetwork"][0])[1])
    api = root.served(
        f"api.{zone}", f"api-int.{zone}", "localhost", "kubernetes", "kubernetes.default", service, "127.0.0.1"
    )
    server, admin, token = (
        mcs.served(f"api-int.{zone}"),
        root.client("system:admin", "system:masters"),
        secrets.token_hex(32),
    )
    user = {"client-certificate-data": encoded(admin[0]), "client-key-data": encoded(admin[1])}
    joining = kubeconfig(zone, "api-int", root.pem, {"token": token})
    tls = "/opt/openshift/tls"
    files = {
        f"{tls}/root-ca.crt": root.pem,
        f"{tls}/root-ca.key": key_pem(root.key),
        f"{tls}/kube-apiserver.crt": api[0],
        f"{tls}/kube-apiserver.key": api[1],
        f"{tls}/machine-config-server.crt": server[0],
        f"{tls}/machine-config-server.key": server[1],
        f"{tls}/service-account.key": key_pem(ec.generate_private_key(ec.SECP256R1())),
        f"{tls}/tokens.csv": f'{token},{JOINER},boot,"system:serviceaccounts"\n',
        "/opt/openshift/auth/kubeconfig": kubeconfig(zone, "api-int", root.pem, user),
        "/opt/openshift/zone": zone,
        "/opt/openshift/version": VERSION,
        "/opt/openshift/services": config["networking"]["serviceNetwork"][0],
        **{f"/opt/openshift/{name}": text for name, text in manifests.items()},
        **{
            f"/opt/openshift/machine-configs/{role}.ign": json.dumps(rendered(role, joining, root.pem))
            for role in ("master", "worker")
        },
    }
    auth = {
        "kubeconfig": kubeconfig(zone, "api", root.pem, user),
        "kubeadmin-password": "-".join(secrets.token_hex(3)[:5] for _ in range(4)),
    }
    return ignition(files), auth, mcs


def rendered(role: str, joining: str, authority: str) -> Object:
    """What the machine config server gives out: how a kubelet comes in."""
    return ignition(
        {
            "/etc/kubernetes/kubeconfig": joining,
            "/etc/kubernetes/kubelet-ca.crt": authority,
            "/etc/innervate-stand-in-role": role,
        }
    )


def create_ignition(folder: Path, *, single: bool) -> None:
    config, manifests = consumed(folder)
    if single is not ("bootstrapInPlace" in config):
        fatal(
            "failed to fetch Single Node Ignition Config: bootstrapInPlace must be set"
            if single
            else "bootstrapInPlace is set"
        )
    bootstrap, auth, mcs = trust(config, manifests)
    zone = f"{config['metadata']['name']}.{config['baseDomain']}"
    written = (
        {ISO: bootstrap}
        if single
        else {"bootstrap.ign": bootstrap, **{f"{one}.ign": pointer(zone, one, mcs.pem) for one in ("master", "worker")}}
    )
    for name, said in written.items():
        (folder / name).write_text(json.dumps(said, separators=(",", ":")))
    leave(folder, config, auth)
    say("info", f"Ignition-Configs created in: {folder} and {folder / 'auth'}")


def leave(folder: Path, config: Object, auth: dict[str, str]) -> None:
    (folder / "auth").mkdir(exist_ok=True)
    for name, text in auth.items():
        path = folder / "auth" / name
        path.touch(mode=0o600)
        path.write_text(text)
    metadata = {"clusterName": config["metadata"]["name"], "clusterID": secrets.token_hex(16), "infraID": "stand-in"}
    (folder / "metadata.json").write_text(json.dumps(metadata))


def create_pxe_files(folder: Path) -> None:
    config, agent = install_config(folder), read(folder, "agent-config.yaml", AGENT)
    if wrong := agent_faults(config, agent):
        fatal(f'failed to fetch Agent PXE Files: invalid "agent-config.yaml" file: [{", ".join(wrong)}]')
    if any("networkConfig" in host for host in agent["hosts"]) and shutil.which("nmstatectl") is None:
        fatal("failed to validate network yaml: failed to execute 'nmstatectl gc': executable file not found in $PATH")
    create_manifests(folder)
    config, manifests = consumed(folder)
    bootstrap, auth, _ = trust(config, manifests)
    made = folder / "boot-artifacts"
    made.mkdir()
    # The ramdisk holds how the hosts become a cluster: that is all that makes it another than the live one.
    inside = json.dumps({"agent": agent, "ignition": bootstrap}, separators=(",", ":")).encode()
    kinds = {
        "vmlinuz": boot_file("kernel"),
        "initrd.img": boot_file("initramfs") + inside,
        "rootfs.img": boot_file("rootfs"),
    }
    for name, content in kinds.items():
        (made / f"agent.x86_64-{name}").write_bytes(content)
    base = agent["bootArtifactsBaseURL"]
    rootfs = f"coreos.live.rootfs_url={base}/agent.x86_64-rootfs.img"
    words = f"initrd=initrd {rootfs} rw ignition.firstboot ignition.platform.id=metal"
    ramdisks = f"initrd --name initrd {base}/agent.x86_64-initrd.img"
    script = f"#!ipxe\n{ramdisks}\nkernel {base}/agent.x86_64-vmlinuz {words}\nboot\n"
    (made / "agent.x86_64.ipxe").write_text(script)
    (folder / "rendezvousIP").write_text(agent["rendezvousIP"])
    (folder / "agent-config.yaml").unlink()
    leave(folder, config, auth)
    say("info", f"PXE boot artifacts created in: {made}")


def agent_faults(config: Object, agent: Object) -> list[str]:
    found, hosts = list[str](), agent.get("hosts", [])
    if agent.get("apiVersion") != "v1beta1" or agent.get("kind") != "AgentConfig":
        found.append("apiVersion: Unsupported value")
    machines = [ipaddress.ip_network(one["cidr"]) for one in config["networking"]["machineNetwork"]]
    if not any(ipaddress.ip_address(agent.get("rendezvousIP", "0.0.0.0")) in one for one in machines):
        found.append("rendezvousIP: Invalid value: it is outside the machine network")
    macs = [nic["macAddress"].lower() for host in hosts for nic in host.get("interfaces", [])]
    if len(set(macs)) != len(macs) or not macs:
        found.append("hosts.interfaces: Invalid value: duplicate MAC address, or none")
    for role, pool in (("master", config["controlPlane"]), ("worker", config["compute"][0])):
        if (count := sum(host.get("role") == role for host in hosts)) > pool["replicas"]:
            found.append(f"hosts: {count} hosts with role {role}, {pool['replicas']} replicas")
    return found


class Cluster:
    """The API that the kubeconfig names, asked as the real one asks it."""

    def __init__(self, folder: Path) -> None:
        try:
            said = yaml.safe_load((folder / "auth/kubeconfig").read_text())
        except OSError as error:
            fatal(f"loading kubeconfig: {error}")
        place, user = said["clusters"][0]["cluster"], said["users"][0]["user"]
        self.url = urlsplit(place["server"])
        self.name = place.get("tls-server-name", self.url.hostname)
        self.context = ssl.create_default_context(cadata=base64.b64decode(place["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile() as file:
            parts = (user["client-certificate-data"], user["client-key-data"])
            file.write(b"".join(map(base64.b64decode, parts)))
            file.flush()
            self.context.load_cert_chain(file.name)

    def get(self, path: str) -> Object | None:
        """None while it does not answer, or has none."""
        connection = Named(str(self.url.hostname), self.url.port or 443, self.name, self.context)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            return dict(json.loads(body)) if answer.status == 200 else None
        except (OSError, ValueError, http.client.HTTPException):
            return None
        finally:
            connection.close()


class Named(http.client.HTTPSConnection):
    """Its certificate is of this name, wherever it is."""

    def __init__(self, host: str, port: int, name: str, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=10, context=context)
        self._name, self._trust = name, context

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._trust.wrap_socket(self.sock, server_hostname=self._name)


def wait_bootstrap(folder: Path) -> None:
    cluster = Cluster(folder)
    say("info", f"Waiting up to 20m0s for the Kubernetes API at {cluster.url.geturl()}...")
    version = until(20 * 60, "failed to wait for the Kubernetes API", lambda: cluster.get("/version"))
    say("info", f"API {version['gitVersion']} up")
    say("info", "Waiting up to 45m0s for bootstrapping to complete...")
    until(45 * 60, "failed to wait for bootstrapping to complete", lambda: complete(cluster))
    say("info", "It is now safe to remove the bootstrap resources")


def complete(cluster: Cluster) -> Object | None:
    found = cluster.get("/api/v1/namespaces/kube-system/configmaps/bootstrap")
    return found if found and found.get("data", {}).get("status") == "complete" else None


def wait_install(folder: Path) -> None:
    cluster = Cluster(folder)
    say("info", f"Waiting up to 40m0s for the cluster at {cluster.url.geturl()} to initialize...")
    until(40 * 60, "failed to initialize the cluster", lambda: available(cluster))
    say("info", "Install complete!")


def available(cluster: Cluster) -> Object | None:
    found = cluster.get("/apis/config.openshift.io/v1/clusterversions/version")
    said = {one["type"]: one["status"] for one in (found or {}).get("status", {}).get("conditions", [])}
    return found if said.get("Available") == "True" and said.get("Progressing") == "False" else None


def until(seconds: float, why: str, look: Any) -> Object:
    deadline = time.monotonic() + seconds
    while (found := look()) is None:
        if time.monotonic() > deadline:
            fatal(f"{why}: timed out waiting for the condition")
        time.sleep(1.0)
    return dict(found)


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="openshift-install")
    parser.add_argument("words", nargs="+")
    parser.add_argument("--dir", type=Path, default=Path())
    parser.add_argument("--log-level", default="info")
    told = parser.parse_args(words)
    match told.words:
        case ["version"]:
            told_of = "built from commit STAND-IN\nrelease image stand-in\nrelease architecture amd64"
            sys.stdout.write(f"openshift-install {VERSION}\n{told_of}\n")
        case ["coreos", "print-stream-json"]:
            sys.stdout.write(json.dumps(stream(), indent=2, sort_keys=True) + "\n")
        case ["create", "manifests"]:
            create_manifests(told.dir)
        case ["create", "ignition-configs"]:
            create_ignition(told.dir, single=False)
        case ["create", "single-node-ignition-config"]:
            create_ignition(told.dir, single=True)
        case ["agent", "create", "pxe-files"]:
            create_pxe_files(told.dir)
        case ["wait-for", "bootstrap-complete"] | ["agent", "wait-for", "bootstrap-complete"]:
            wait_bootstrap(told.dir)
        case ["wait-for", "install-complete"] | ["agent", "wait-for", "install-complete"]:
            wait_install(told.dir)
        case _:
            sys.stderr.write(f'Error: unknown command "{" ".join(told.words)}" for "openshift-install"\n')
            raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
