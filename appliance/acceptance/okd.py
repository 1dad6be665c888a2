"""What the appliance relies on of a release of OKD, asked of the release itself.

Its programs run here, as they do when a cluster is made; nothing is installed and no machine is touched.
"""

import asyncio
import json
import shutil
import tarfile
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from appliance import __version__
from appliance.acceptance.cluster import at_rest
from appliance.acceptance.result import Assertion, Result
from appliance.errors import ClusterError, InnervateError, SiteError
from appliance.model.cluster import ClusterName, ClusterSpec, SetRef
from appliance.model.ids import MachineName, Nonce
from appliance.model.okd import OkdHost, OkdRole, OkdSpec, OkdWay
from appliance.model.secret import Secret
from appliance.okd import catalogue, ignition
from appliance.okd.agent_config import agent_config
from appliance.okd.artifacts import OkdArtifacts, OkdFile, artifacts_of, read_stream, strangers
from appliance.okd.ignition import Ear
from appliance.okd.install_config import install_config
from appliance.okd.version import OkdVersion
from appliance.services.okd_keys import KUBECONFIG
from appliance.services.okd_programs import OkdPrograms, Tools
from images.artifact_set import ArtifactSet
from images.errors import ImagesError
from images.ports import Processes
from images.set_folder import SetFolder
from pxe.client import Mac

_NETWORK = IPv4Network("192.0.2.0/24")
"""For documentation (RFC 5737): these clusters are rendered and never made."""
_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFjY2VwdGFuY2Ugb25seTogbm9ib2R5J3Mga2V5IQ== acceptance"
_LIMIT, _UNKNOWN = 16 << 20, "imageDigestSourceS"
_REFERENCES = "release-manifests/image-references"
_EAR = Ear(tell="http://192.0.2.1/install/0000000000000000", report="http://192.0.2.1/report", nonce=Nonce("0" * 16))
_POINTERS = {OkdRole.BOOTSTRAP: "bootstrap.ign", OkdRole.MASTER: "master.ign", OkdRole.WORKER: "worker.ign"}


class OkdAcceptance:
    """`folder` is that of the set, `authority` a certificate in PEM that stands for the mirror's. `kubeconfig` is of a
    cluster that was made with the set, None for none. Blocks."""

    def __init__(
        self, folder: Path, work: Path, processes: Processes, authority: str, kubeconfig: Secret | None = None
    ) -> None:
        self._folder, self._processes, self._authority = folder, processes, authority
        self._kubeconfig = kubeconfig
        self._programs = OkdPrograms(processes, work)
        self._work = work

    def run(self, now: float) -> Result:
        """Raises `ImagesError` for a folder that has no set in it."""
        with closing(SetFolder(self._folder)) as opened:
            described = opened.description()
            looks = self._looks(described, opened)
            made = tuple(_asserted(name, look) for name, look in looks.items())
        standing = catalogue.standing(described)
        return Result(
            engine=described.engine.value,
            version=described.version,
            provenance=standing.provenance.value.upper(),
            standing=standing.words,
            appliance=__version__,
            made=now,
            files={file.role: file.sha256 for file in described.files},
            assertions=made,
        )

    def _looks(self, described: ArtifactSet, opened: SetFolder) -> Mapping[str, Callable[[], str]]:
        access = self._kubeconfig
        cluster = {"cluster": lambda: self._cluster(described, access)} if access is not None else {}
        return {
            "release": lambda: str(OkdVersion.parse(described.version)),
            "contents": lambda: f"{len(artifacts_of(described).files)} files, {len(described.images)} images",
            "hashes": lambda: _hashed(described, opened),
            "payload": lambda: _payload(artifacts_of(described), opened),
            "installer": lambda: self._installer(described),
            "stream": lambda: self._stream(described),
            "highly available": lambda: self._ignition(described, _spec(described, workers=2)),
            "compact": lambda: self._ignition(described, _spec(described, workers=0)),
            "single node": lambda: self._single(described),
            "agents": lambda: self._agents(described),
            "strictness": lambda: self._strict(described),
            "client": lambda: self._client(described),
            **cluster,
        }

    def _tools(self, described: ArtifactSet) -> Tools:
        found = artifacts_of(described).files
        installer, oc = (self._folder / found[role].name for role in (OkdFile.INSTALLER, OkdFile.OC))
        return Tools(installer=installer, oc=oc)

    def _installer(self, described: ArtifactSet) -> str:
        words = self._programs.version(self._tools(described)).split()
        if described.version not in words:
            raise ClusterError(f"it says: {' '.join(words)[:200]}")
        return f"openshift-install {described.version}"

    def _stream(self, described: ArtifactSet) -> str:
        stream = read_stream(self._programs.stream(self._tools(described)), described.arch)
        if odd := strangers(artifacts_of(described), stream):
            raise ClusterError("; ".join(odd))
        return f"SCOS {stream.release}"

    def _ignition(self, described: ArtifactSet, spec: OkdSpec) -> str:
        """The tree is the expected one, and each machine's config passes Ignition's validator where there is one."""
        config = install_config(spec, described.arch, self._authority)
        tree = self._programs.ignition(self._tools(described), spec, config)
        if missing := sorted({*_POINTERS.values(), KUBECONFIG} - set(tree)):
            raise ClusterError(f"openshift-install left no {', '.join(missing)}")
        configs = [
            ignition.node_config(spec, host, _EAR, Secret(tree[_POINTERS[host.role]])).text for host in spec.hosts
        ]
        return f"{len(configs)} machines, {self._validated(configs)}"

    def _validated(self, configs: list[str]) -> str:
        if (program := shutil.which("ignition-validate")) is None:
            return "not validated: this machine has no ignition-validate"
        path = self._work / "validated.ign"
        for text in configs:
            path.write_text(text)
            done = self._processes.run([program, str(path)], timeout=60)
            path.unlink()
            if done.status != 0:
                raise ClusterError(f"ignition-validate: {done.output.decode(errors='replace')[:300]}")
        return "each validated"

    def _single(self, described: ArtifactSet) -> str:
        spec = _spec(described, workers=0)
        single = replace(spec, hosts=spec.planes[:1])
        tree = self._programs.ignition(
            self._tools(described), single, install_config(single, described.arch, self._authority)
        )
        given = next((text for name, text in tree.items() if name.endswith("for-live-iso.ign")), None)
        if given is None:
            raise ClusterError(f"openshift-install left {', '.join(sorted(tree))}")
        live = ignition.live_config(single, single.planes[0], _EAR, Secret(given)).text
        return f"starts itself, {self._validated([live])}"

    def _agents(self, described: ArtifactSet) -> str:
        spec = _spec(described, workers=2)
        agents = replace(spec, way=OkdWay.AGENT, hosts=spec.nodes)
        config = install_config(agents, described.arch, self._authority)
        told = agent_config(agents, "http://192.0.2.1/artifact", (IPv4Address("192.0.2.1"),))
        names = self._programs.agent_files(self._tools(described), config, told)
        kinds = ("vmlinuz", "initrd.img", "rootfs.img")
        if missing := [kind for kind in kinds if not any(name.endswith(kind) for name in names)]:
            raise ClusterError(f"no {', '.join(missing)} among {', '.join(names) or 'nothing'}")
        return ", ".join(names)

    def _strict(self, described: ArtifactSet) -> str:
        """Nobody would learn of a field that is spelled wrong from an installer that passes over it."""
        spec = _spec(described, workers=0)
        config = json.loads(install_config(spec, described.arch, self._authority))
        try:
            self._programs.ignition(self._tools(described), spec, json.dumps({**config, _UNKNOWN: []}))
        except ClusterError as error:
            if _UNKNOWN not in error.evidence:
                raise
            return "an unknown field is refused"
        raise SiteError(f"openshift-install takes {_UNKNOWN}, a field that there is not")

    def _cluster(self, described: ArtifactSet, kubeconfig: Secret) -> str:
        said = self._programs.access(self._tools(described), kubeconfig)
        return asyncio.run(at_rest(said, described.version))

    def _client(self, described: ArtifactSet) -> str:
        spec = _spec(described, workers=0)
        config = install_config(spec, described.arch, self._authority)
        tree = self._programs.ignition(self._tools(described), spec, config)
        match self._programs.access(self._tools(described), Secret(tree[KUBECONFIG])):
            case {"clusters": [{"cluster": {"server": str(server)}}, *_]} if server.startswith(f"https://{spec.api}:"):
                return "oc reads the kubeconfig of the installer"
            case _:
                raise ClusterError(f"the kubeconfig does not lead to {spec.api}")


def _asserted(name: str, look: Callable[[], str]) -> Assertion:
    try:
        return Assertion(name=name, passed=True, said=look())
    except (InnervateError, ImagesError) as error:
        evidence = f" ({error.evidence})" if error.evidence else ""
        return Assertion(name=name, passed=False, said=f"{error}{evidence}"[:1000])


def _hashed(described: ArtifactSet, opened: SetFolder) -> str:
    for file in described.files:
        opened.check_file(file.name, file.size, file.sha256)
    blobs = {blob for image in described.images for one in opened.documents(image.digest) for blob in one.blobs}
    for blob in blobs:
        opened.check_blob(blob.digest, blob.size)
    return f"{len(described.files)} files and {len(blobs)} layers are what the set says"


def _payload(found: OkdArtifacts, opened: SetFolder) -> str:
    """Each component that the release names is in the set, by its digest."""
    named = _references(found, opened)
    missing = sorted(name for name, digest in named.items() if digest not in {one.digest for one in found.content})
    if missing or not named:
        raise ClusterError(f"{len(missing)} of {len(named)} components are missing: {', '.join(missing[:8])}")
    return f"all {len(named)} components are there"


def _references(found: OkdArtifacts, opened: SetFolder) -> Mapping[str, str]:
    """The components' digests by name, out of the release image's last layer that has them."""
    for document in opened.documents(found.release.digest):
        for part in reversed(document.blobs[1:]):
            with (
                opened.blob(part.digest) as blob,
                suppress(tarfile.TarError, KeyError),
                tarfile.open(fileobj=blob) as tar,
            ):
                if (file := tar.extractfile(_REFERENCES)) is not None:
                    return _digests(file.read(_LIMIT))
    raise ClusterError(f"the release image has no {_REFERENCES}")


def _extracted(opened: SetFolder, digest: str) -> bytes | None:
    """None of a layer that has not that file, or is no tar that can be read here."""
    with opened.blob(digest) as blob, suppress(tarfile.TarError, KeyError), tarfile.open(fileobj=blob) as layer:
        file = layer.extractfile(_REFERENCES)
        return file.read(_LIMIT) if file is not None else None
    return None


def _digests(raw: bytes) -> Mapping[str, str]:
    try:
        said = json.loads(raw)
    except ValueError as error:
        raise ClusterError(f"{_REFERENCES} is no JSON: {error}") from error
    match said:
        case {"spec": {"tags": list(tags)}}:
            pairs = [(one["name"], one["from"]["name"]) for one in tags if "from" in one]
            return {str(name): str(where).rpartition("@")[2] for name, where in pairs}
        case _:
            raise ClusterError(f"{_REFERENCES} names no components")


def _spec(described: ArtifactSet, *, workers: int) -> OkdSpec:
    roles = [OkdRole.BOOTSTRAP, *[OkdRole.MASTER] * 3, *[OkdRole.WORKER] * workers]
    cluster = ClusterSpec(
        name=ClusterName("accept"),
        set=SetRef.of(described.name, described),
        endpoint=IPv4Address("192.0.2.1"),
        registry="192.0.2.1:5000",
        pods=IPv4Network("10.128.0.0/14"),
        services=IPv4Network("172.30.0.0/16"),
    )
    hosts = tuple(_host(at, role) for at, role in enumerate(roles))
    return OkdSpec(cluster=cluster, domain="example.net", machines=_NETWORK, hosts=hosts, keys=(_KEY,))


def _host(at: int, role: OkdRole) -> OkdHost:
    wwn = f"naa.5000c500a1b2c3{at:02x}"
    return OkdHost(
        name=MachineName(f"machine-{at}"),
        role=role,
        address=_NETWORK[10 + at],
        mac=Mac.parse(f"52:54:00:00:03:{at:02x}"),
        device=f"/dev/disk/by-id/wwn-0x{wwn.removeprefix('naa.')}",
        wwn=wwn,
        serial=f"ACCEPT{at}",
    )
