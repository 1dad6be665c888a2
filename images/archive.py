"""Packages of a Debian suite, fetched without touching this machine's own apt state. Needs root."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from images.epoch import at_epoch
from images.mirror import KEYRING
from images.ports import Processes, Progress
from images.processes import check

SUITE = "trixie"
_UNWANTED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/lintian/*")
_WANTED = "/usr/share/doc/*/copyright"  # under what terms the image may be handed on
_DEBS = "var/cache/apt/archives"
_DOWNLOAD_BUDGET = 600.0
_BOOTSTRAP_BUDGET = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """`mirror` is the base URI of the archive. Every method raises ToolError."""

    mirror: str
    processes: Processes
    progress: Progress

    def unpack(self, packages: Sequence[str], work: Path) -> Path:
        """The files of these packages alone, without their dependencies, as a tree below `work`."""
        lists, cache, tree = work / "lists", work / "cache", work / "tree"
        for folder in (lists / "partial", cache / "archives" / "partial", tree):
            folder.mkdir(parents=True)
        sources = work / "debian.sources"
        sources.write_text(_stanza(self.mirror))
        options = _private_state(sources, lists, cache)
        self.progress(f"fetching {', '.join(packages)}")
        check(self.processes, ["apt-get", "-q", *options, "update"], timeout=_DOWNLOAD_BUDGET)
        check(self.processes, ["apt-get", "-q", *options, "download", *packages], timeout=_DOWNLOAD_BUDGET, cwd=work)
        for package in sorted(work.glob("*.deb")):
            check(self.processes, ["dpkg-deb", "-x", str(package), str(tree)])
        return tree

    def bootstrap(
        self, variant: str, packages: Sequence[str], tree: Path, options: Sequence[str] = ()
    ) -> tuple[Path, ...]:
        """A root tree with dependencies, by mmdebstrap(1): variant `extract` unpacks only, `minbase` configures too.

        Returns the files of all its packages, which stand in the tree and have no business there."""
        self.progress(f"unpacking {len(packages)} packages and what they need")
        # A mount namespace of its own: whatever a killed build had mounted in the tree is gone with it.
        isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        excludes = [f"--dpkgopt=path-exclude={pattern}" for pattern in _UNWANTED]
        kept = ["--skip=essential/unlink,cleanup/apt/cache", f"--dpkgopt=path-include={_WANTED}"]
        form = ["--mode=root", "--format=directory", f"--variant={variant}"]
        command = at_epoch(["mmdebstrap", *form, *excludes, *kept, *options])
        included = f"--include={','.join(packages)}"
        argv = [*isolated, *command, included, f"--keyring={KEYRING}", SUITE, str(tree), self.mirror]
        check(self.processes, argv, timeout=_BOOTSTRAP_BUDGET, watch=self._steps)
        return tuple(sorted((tree / _DEBS).glob("*.deb")))

    def _steps(self, line: str) -> None:
        if line.startswith("I: "):
            self.progress(line.removeprefix("I: "))


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
