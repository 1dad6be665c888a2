"""Any suite of Debian's archive, sources too, read without touching this machine's own apt state. Needs root."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from images.archive import Archive
from images.epoch import at_epoch
from images.errors import BuildError
from images.mirror import KEYRING
from images.oci.content import Content, Folder, Link, Node, scan
from images.processes import check

_DOWNLOAD_BUDGET, _BOOTSTRAP_BUDGET = 600.0, 900.0
_DOCUMENTATION = "usr/share/doc/"
_MERGED = ("bin", "lib", "lib64", "sbin")
_NO_RECOMMENDS = "APT::Install-Recommends=false"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """`name` is a codename. Every method raises ToolError."""

    name: str
    archive: Archive

    def bootstrap(self, variant: str, packages: Sequence[str], tree: Path, options: Sequence[str] = ()) -> None:
        """A root tree with dependencies, by mmdebstrap(1), which says what the variants are."""
        self.archive.progress(f"{self.name}: unpacking {len(packages)} packages and what they need")
        # A mount namespace of its own: whatever a killed build had mounted in the tree is gone with it.
        isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        form = ["--mode=root", "--format=directory", f"--variant={variant}", f"--aptopt={_NO_RECOMMENDS}"]
        command = at_epoch(["mmdebstrap", *form, *options, f"--keyring={KEYRING}", f"--include={','.join(packages)}"])
        argv = [*isolated, *command, self.name, str(tree), self.archive.mirror]
        check(self.archive.processes, argv, timeout=_BOOTSTRAP_BUDGET, watch=self._steps)

    def source(self, package: str, work: Path) -> Path:
        """The .dsc, beside the tarballs that it names; apt has checked them against the signed index."""
        folder = work / "source"
        folder.mkdir()
        self.archive.progress(f"{self.name}: fetching the source of {package}")
        argv = ["apt-get", "-q", *self._updated(work, "deb-src"), "--download-only", "source", package]
        check(self.archive.processes, argv, timeout=_DOWNLOAD_BUDGET, cwd=folder)
        match sorted(folder.glob("*.dsc")):
            case [only]:
                return only
            case found:
                raise BuildError(f"the source of {package} is not one", evidence=", ".join(map(str, found)))

    def unpack(self, packages: Sequence[str], work: Path) -> "Unpacked":
        """The files of these packages alone, unconfigured and without their dependencies, below `work`."""
        tree = work / "tree"
        tree.mkdir(parents=True)
        self.archive.progress(f"{self.name}: fetching {', '.join(packages)}")
        options = self._updated(work, "deb")
        argv = ["apt-get", "-q", *options, "download", *packages]
        check(self.archive.processes, argv, timeout=_DOWNLOAD_BUDGET, cwd=work)
        debs = sorted(work.glob("*.deb"))
        for deb in debs:
            check(self.archive.processes, ["dpkg-deb", "-x", str(deb), str(tree)])
        named = (deb.name.split("_") for deb in debs)
        return Unpacked(tree=tree, versions={words[0]: unquote(words[1]) for words in named})

    def lacking(self, packages: Sequence[str], status: Path, work: Path) -> tuple[Path, ...]:
        """The files of these packages and of their dependencies that a system has not which is in that state
        (dpkg's `status` file), sorted by name."""
        self.archive.progress(f"{self.name}: fetching what a node lacks")
        settings = ["-o", f"Dir::State::status={status}", "-o", _NO_RECOMMENDS]
        options = [*self._updated(work, "deb"), *settings]
        argv = ["apt-get", "-q", "-y", *options, "--download-only", "install", *packages]
        check(self.archive.processes, argv, timeout=_DOWNLOAD_BUDGET)
        return tuple(sorted((work / "cache" / "archives").glob("*.deb")))

    def _updated(self, work: Path, kind: str) -> list[str]:
        """Options of apt for a state of its own below `work`, brought up to date."""
        cache, sources = work / "cache", work / "debian.sources"
        for folder in (work / "lists" / "partial", cache / "archives" / "partial"):
            folder.mkdir(parents=True)
        sources.write_text(_stanza(kind, self.archive.mirror, self.name))
        settings = {
            "Dir::Etc::sourcelist": str(sources),
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::lists": str(work / "lists"),
            "Dir::State::status": "/dev/null",
            "Dir::Cache": str(cache),
            "Acquire::Languages": "none",
            "APT::Sandbox::User": "root",
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
        }
        options = _words(settings)
        check(self.archive.processes, ["apt-get", "-q", *options, "update"], timeout=_DOWNLOAD_BUDGET)
        return options

    def _steps(self, line: str) -> None:
        if line.startswith("I: "):
            self.archive.progress(line.removeprefix("I: "))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """`versions` by package."""

    tree: Path
    versions: Mapping[str, str]


def read_by_programs(tree: Path, without: Sequence[str]) -> Content:
    """Of packages that were unpacked: what programs read, and under what terms they are handed on. `without` are
    prefixes of what nobody wants."""
    found: dict[str, Node] = {
        name: Link(target=f"usr/{name}")
        for name in _MERGED
        if (tree / "usr" / name).is_dir() and not (tree / name).exists()
    }
    for path, node in scan(tree, without=without).items():
        kept = not path.startswith(_DOCUMENTATION) or path.endswith("/copyright")
        if kept and node != Folder():
            found[path] = node
    return found


def _stanza(kind: str, mirror: str, suite: str) -> str:
    return f"Types: {kind}\nURIs: {mirror}\nSuites: {suite}\nComponents: main\nSigned-By: {KEYRING}\n"


def _words(settings: Mapping[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
