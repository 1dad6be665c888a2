"""The container images that kubeadm asks for, each of Debian's or our own programs and nothing else.

| image | what is in it |
|---|---|
| kube-apiserver, kube-controller-manager, kube-scheduler | the program |
| kube-proxy | the program, and iptables and conntrack of the suite that nodes have: both change the same rules |
| etcd | Debian 12's etcd-server and its tools: 3.4, which this Kubernetes was made for |
| pause | catatonit, which waits and reaps as the original does |
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from images.archive import SUITE, Archive
from images.artifact_set import SetImage
from images.kubernetes import binaries
from images.kubernetes.suite import Suite, Unpacked, read_by_programs
from images.oci.content import Content, File, Folder, Link
from images.oci.document import Layer, Settings
from images.oci.layout import Layout
from images.store import Entry, Store

REPOSITORY = "k8s"
PAUSE_TAG = "3.2"
"""What kubeadm of this version asks for, whatever is in it."""
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
_BIN = "usr/local/bin"
_PATH = "/usr/local/bin:/usr/sbin:/usr/bin"
_ETCD_SUITE = binaries.SUITE
_ETCD = ("etcd-client", "etcd-server", "libc6")
_PROXY = (
    "conntrack",
    "iptables",
    "libc6",
    "libip4tc2",
    "libip6tc2",
    "libmnl0",
    "libnetfilter-conntrack3",
    "libnfnetlink0",
    "libnftnl11",
    "libxtables12",
    "netbase",
)
_PAUSE = ("catatonit",)
_ACCOUNTS: Content = {
    "etc/passwd": File(source=b"root:x:0:0::/root:/bin/false\nnobody:x:65534:65534::/:/bin/false\n"),
    "etc/group": File(source=b"root:x:0:\nnogroup:x:65534:\n"),
    "tmp": Folder(mode=0o1777),
}
_UNWANTED = ("etc/init.d/", "lib/systemd/", "usr/share/info/", "usr/share/lintian/", "usr/share/man/")
# As Debian's alternatives would have it; no package is configured here.
_ALTERNATIVES = {
    f"usr/sbin/{name}": Link(target="xtables-nft-multi")
    for family in ("iptables", "ip6tables")
    for name in (family, f"{family}-save", f"{family}-restore")
}
PACKAGES = tuple(sorted({*_ETCD, *_PROXY, *_PAUSE}))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """Where the images' files come from."""

    programs: Mapping[str, Path]
    etcd: Unpacked
    proxy: Unpacked
    pause: Unpacked


def write(layout: Layout, programs: Entry, store: Store, archive: Archive, work: Path) -> tuple[SetImage, ...]:
    """Raises ImagesError."""
    parts = _parts(programs, store, archive, work)
    common = layout.add_layer(_ACCOUNTS)
    images = [_program(layout, name, parts, (common,)) for name in CONTROL_PLANE]
    proxy = layout.add_layer({**read_by_programs(parts.proxy.tree, _UNWANTED), **_ALTERNATIVES})
    images.append(_program(layout, "kube-proxy", parts, (common, proxy)))
    etcd = layout.add_layer(read_by_programs(parts.etcd.tree, _UNWANTED))
    images.append(_image(layout, "etcd", _upstream(parts.etcd.versions["etcd-server"]), (common, etcd)))
    images.append(_pause(layout, parts.pause.tree))
    return tuple(sorted(images, key=lambda image: image.name))


def _parts(programs: Entry, store: Store, archive: Archive, work: Path) -> _Parts:
    here, before = Suite(name=SUITE, archive=archive), Suite(name=_ETCD_SUITE, archive=archive)
    return _Parts(
        programs={artifact.name: store.path_of(artifact.sha256) for artifact in programs.artifacts},
        etcd=before.unpack(_ETCD, work / "etcd"),
        proxy=here.unpack(_PROXY, work / "proxy"),
        pause=here.unpack(_PAUSE, work / "pause"),
    )


def _program(layout: Layout, name: str, parts: _Parts, below: Sequence[Layer]) -> SetImage:
    """No entrypoint: what kubeadm writes for its pods begins with the program's name."""
    layer = layout.add_layer({f"{_BIN}/{name}": File(source=parts.programs[name], mode=0o755)})
    return _image(layout, name, binaries.VERSION, (*below, layer))


def _pause(layout: Layout, tree: Path) -> SetImage:
    layer = layout.add_layer({"pause": File(source=tree / "usr/bin/catatonit", mode=0o755)})
    return _image(layout, "pause", PAUSE_TAG, (layer,), Settings(entrypoint=("/pause", "-P")))


def _image(layout: Layout, name: str, tag: str, layers: Sequence[Layer], settings: Settings | None = None) -> SetImage:
    chosen = Settings(environment={"PATH": _PATH}) if settings is None else settings
    manifest = layout.add_image(f"{REPOSITORY}/{name}:{tag}", layers, chosen)
    return SetImage(repository=f"{REPOSITORY}/{name}", tag=tag, digest=manifest.digest)


def _upstream(version: str) -> str:
    """`3.4.23` of Debian's `3.4.23-4+b4`."""
    return version.rpartition(":")[2].rpartition("-")[0]
