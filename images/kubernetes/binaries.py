"""Kubernetes' programs, compiled from the source package of Debian 12, which has every dependency in it.

Debian itself builds nothing but kubectl from that package, and the packages of later releases hold nothing else. Three
stages, each kept in the store, because together they take a quarter of an hour on two cores:

    toolchain   a root tree of Debian 12 with Go, and the source below /build
    source      the same source with its generated files
    binaries    the programs, static
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from images.archive import Archive
from images.errors import BuildError
from images.kubernetes.suite import Suite
from images.processes import check
from images.recipe import Recipe, ensure
from images.store import Entry, Store

VERSION = "v1.20.2"
PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubeadm",
    "kubectl",
    "kubelet",
)
SUITE = "bookworm"
_PACKAGE = "kubernetes"
_UPSTREAM = f"really{VERSION.removeprefix('v')}"
_PACKAGES = (
    "ca-certificates",
    "dpkg-dev",
    "file",
    "golang-github-modern-go-reflect2-dev",
    "golang-go",
    "jq",
    "perl",
    "rsync",
    "xz-utils",
)
_GOPATH = "/build/gopath"
_SOURCE = f"{_GOPATH}/src/k8s.io/kubernetes"
_REFLECT = "github.com/modern-go/reflect2"
_ENVIRONMENT = (
    "HOME=/root",
    "PATH=/usr/lib/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    f"GOPATH={_GOPATH}",
    "GOCACHE=/build/cache",
    "GOFLAGS=",
    "GOPROXY=off",
    "CGO_ENABLED=0",
)
_GENERATE = ("make", "generated_files")
_COMPONENTS = "k8s.io/kubernetes/vendor/k8s.io"
_FACTS = {
    "gitVersion": VERSION,
    "gitMajor": "1",
    "gitMinor": "20",
    "gitTreeState": "clean",
    "gitCommit": "faecb196815e248d3ecfb03c680a4507229c2a56",
    "buildDate": "2021-01-13T13:20:00Z",
}
"""What upstream's own binaries of this version say; the linker finds them below the vendor folder alone."""
_LINKED = tuple(
    f"-X {_COMPONENTS}/{package}.{name}={value}"
    for package in ("component-base/version", "client-go/pkg/version")
    for name, value in _FACTS.items()
)
_COMPILE = ("go", "build", "-trimpath", "-ldflags", " ".join(("-s -w", *_LINKED)), "-o", "/build/bin/")
_COMPILE_BUDGET, _PACK_BUDGET = 1800.0, 300.0
_TOOLCHAIN_TAR, _SOURCE_TAR = "toolchain.tar.zst", "source.tar.zst"


def toolchain_recipe() -> Recipe:
    options = (_PACKAGE, _UPSTREAM, _REFLECT, _SOURCE)
    return Recipe(name="kubernetes-toolchain", suite=SUITE, packages=_PACKAGES, options=options)


def source_recipe() -> Recipe:
    options = (toolchain_recipe().key, *_ENVIRONMENT, *_GENERATE)
    return Recipe(name="kubernetes-source", suite=SUITE, options=options)


def binaries_recipe() -> Recipe:
    options = (source_recipe().key, *_COMPILE, *PROGRAMS)
    return Recipe(name="kubernetes-binaries", suite=SUITE, options=options)


def ensure_binaries(store: Store, archive: Archive) -> Entry:
    """Artefacts: one for each of `PROGRAMS`, named as it is. Raises ImagesError."""

    def build(work: Path) -> Mapping[str, Path]:
        tree = _tree(work, (_ensure_toolchain(store, archive), _ensure_source(store, archive)), store, archive)
        archive.progress(f"compiling {len(PROGRAMS)} programs, which takes minutes")
        _inside(tree, ("GO111MODULE=off",), (*_COMPILE, *(f"./cmd/{name}" for name in PROGRAMS)), archive)
        return {name: tree / "build/bin" / name for name in PROGRAMS}

    return ensure(binaries_recipe(), store, build, archive.progress)


def _ensure_source(store: Store, archive: Archive) -> Entry:
    """What `make generated_files` adds is not in the package, and the API server does not compile without it."""

    def build(work: Path) -> Mapping[str, Path]:
        tree = _tree(work, (_ensure_toolchain(store, archive),), store, archive)
        archive.progress("generating code, which takes minutes")
        _inside(tree, (), _GENERATE, archive)
        return {_SOURCE_TAR: _pack(tree, (_SOURCE.removeprefix("/"),), work / _SOURCE_TAR, archive)}

    return ensure(source_recipe(), store, build, archive.progress)


def _ensure_toolchain(store: Store, archive: Archive) -> Entry:
    def build(work: Path) -> Mapping[str, Path]:
        tree, suite = work / "tree", Suite(name=SUITE, archive=archive)
        dsc = suite.source(_PACKAGE, work)
        if _UPSTREAM not in dsc.name:
            raise BuildError(f"{SUITE} has another Kubernetes than {VERSION}", evidence=dsc.name)
        suite.bootstrap("minbase", _PACKAGES, tree)
        dsc.parent.rename(tree / "build")
        _chroot(tree, ("mkdir", "-p", str(Path(_SOURCE).parent)), archive)
        _chroot(tree, ("dpkg-source", "-q", "-x", f"/build/{dsc.name}", _SOURCE), archive)
        # The package's own reflect2 breaks maps when a later Go compiled it: kubeadm panics.
        reflect = f"{_SOURCE}/vendor/{_REFLECT}"
        _chroot(tree, ("rm", "-r", reflect), archive)
        _chroot(tree, ("cp", "-rL", f"/usr/share/gocode/src/{_REFLECT}", reflect), archive)
        return {_TOOLCHAIN_TAR: _pack(tree, (".",), work / _TOOLCHAIN_TAR, archive)}

    return ensure(toolchain_recipe(), store, build, archive.progress)


def _tree(work: Path, entries: Sequence[Entry], store: Store, archive: Archive) -> Path:
    tree = work / "tree"
    tree.mkdir()
    for artifact in (artifact for entry in entries for artifact in entry.artifacts):
        argv = ["tar", "-C", str(tree), "--numeric-owner", "--zstd", "-xf", str(store.path_of(artifact.sha256))]
        check(archive.processes, argv, timeout=_PACK_BUDGET)
    return tree


def _pack(tree: Path, names: Sequence[str], target: Path, archive: Archive) -> Path:
    compress = ("--numeric-owner", "-I", "zstd -3 -T0")
    check(archive.processes, ["tar", "-C", str(tree), *compress, "-cf", str(target), *names], timeout=_PACK_BUDGET)
    return target


def _inside(tree: Path, more: Sequence[str], argv: Sequence[str], archive: Archive) -> None:
    environment = ("env", "-i", "-C", _SOURCE, *_ENVIRONMENT, *more)
    _chroot(tree, (*environment, *argv), archive, _COMPILE_BUDGET)


def _chroot(tree: Path, argv: Sequence[str], archive: Archive, timeout: float = _PACK_BUDGET) -> None:
    """With /proc, because generators and shells look for /dev/fd, which is a link into it."""
    isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--root={tree}", "--mount-proc"]
    check(archive.processes, [*isolated, *argv], timeout=timeout)
