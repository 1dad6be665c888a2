"""Packages of a Debian suite, fetched without touching this machine's own apt state. Needs root."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from images.mirror import KEYRING
from images.ports import Processes, Progress
from images.processes import check

SUITE = "trixie"
_UNWANTED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/lintian/*")
_DOWNLOAD_BUDGET = 600.0
_AT_ONCE = 200
_HELPER = "/usr/lib/apt/apt-helper"
_BOOTSTRAP_BUDGET = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """`mirror` is the base URI of the archive. Every method raises ToolError."""

    mirror: str
    processes: Processes
    progress: Progress

    def unpack(self, packages: Sequence[str], work: Path) -> Path:
        """The files of these packages alone, without their dependencies, as a tree below `work`."""
        tree = work / "tree"
        tree.mkdir()
        self.progress(f"fetching {', '.join(packages)}")
        options = self._updated(work)
        check(self.processes, ["apt-get", "-q", *options, "download", *packages], timeout=_DOWNLOAD_BUDGET, cwd=work)
        for package in sorted(work.glob("*.deb")):
            check(self.processes, ["dpkg-deb", "-x", str(package), str(tree)])
        return tree

    def closure(self, packages: Sequence[str], work: Path) -> frozenset[str]:
        """The names of these packages and of all that they need on a system that has nothing yet."""
        options = [*self._updated(work), "-o", "APT::Install-Recommends=false"]
        said = check(self.processes, ["apt-get", "-q", "-s", *options, "install", *packages], timeout=_DOWNLOAD_BUDGET)
        lines = (line.split() for line in said.decode().splitlines())
        return frozenset(words[1] for words in lines if words[:1] == ["Inst"])

    def fetch(self, files: Mapping[str, str], folder: Path) -> Mapping[str, Path]:
        """Path in the archive -> where it is now, below `folder`; the values are SHA-256 ("" for a file that the caller
        verifies)."""
        there = {path: folder / path for path in files}
        triples = [(f"{self.mirror}/{path}", str(there[path]), files[path]) for path in sorted(files)]
        for target in there.values():
            target.parent.mkdir(parents=True, exist_ok=True)
        for start in range(0, len(triples), _AT_ONCE):
            part = triples[start : start + _AT_ONCE]
            self.progress(f"fetching files {start + 1} to {start + len(part)} of {len(triples)}")
            words = (word for uri, path, digest in part for word in (uri, path, *_hash(digest)))
            check(self.processes, [_HELPER, "-q", "download-file", *words], timeout=_DOWNLOAD_BUDGET)
        return there

    def _updated(self, work: Path) -> list[str]:
        """Options of apt for a state of its own below `work`, which is brought up to date at first use."""
        lists, cache, sources = work / "lists", work / "cache", work / "debian.sources"
        options = _private_state(sources, lists, cache)
        if not sources.exists():
            for folder in (lists / "partial", cache / "archives" / "partial"):
                folder.mkdir(parents=True)
            sources.write_text(_stanza(self.mirror))
            check(self.processes, ["apt-get", "-q", *options, "update"], timeout=_DOWNLOAD_BUDGET)
        return options

    def bootstrap(self, variant: str, packages: Sequence[str], tree: Path, options: Sequence[str] = ()) -> None:
        """A root tree with dependencies, by mmdebstrap(1): variant `extract` unpacks only, `minbase` configures too."""
        self.progress(f"unpacking {len(packages)} packages and what they need")
        # A mount namespace of its own: whatever a killed build had mounted in the tree is gone with it.
        isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        excludes = [f"--dpkgopt=path-exclude={pattern}" for pattern in _UNWANTED]
        command = ["mmdebstrap", "--mode=root", "--format=directory", f"--variant={variant}", *excludes, *options]
        included = f"--include={','.join(packages)}"
        argv = [*isolated, *command, included, f"--keyring={KEYRING}", SUITE, str(tree), self.mirror]
        check(self.processes, argv, timeout=_BOOTSTRAP_BUDGET, watch=self._steps)

    def _steps(self, line: str) -> None:
        if line.startswith("I: "):
            self.progress(line.removeprefix("I: "))


def _hash(digest: str) -> Iterable[str]:
    """apt-helper takes any number of files, but a hash behind each or none: an empty word is no hash."""
    return (f"SHA256:{digest}",) if digest else ("",)


def _stanza(mirror: str) -> str:
    return (
        f"Types: deb\nURIs: {mirror}\nSuites: {SUITE}\nComponents: main\nArchitectures: amd64\nSigned-By: {KEYRING}\n"
    )


def _private_state(sources: Path, lists: Path, cache: Path) -> list[str]:
    settings = {
        "Dir::Etc::sourcelist": str(sources),
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": str(lists),
        "Dir::State::status": "/dev/null",
        "Dir::Cache": str(cache),
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
