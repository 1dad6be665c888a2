"""Runs a release's own programs, each time in a folder of its own that is gone afterwards. Blocks.

They are the site's: whatever they leave is read as text, bounded, and nothing else of theirs is kept.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from appliance.errors import ClusterError
from appliance.model.okd import OkdSpec
from appliance.model.secret import Secret
from appliance.model.text import clean
from appliance.okd import agent_config, install_config
from appliance.okd.ignition import is_single
from appliance.services.okd_keys import KUBECONFIG
from images.errors import ToolError
from images.ports import Processes

_SECONDS, _MAKE_SECONDS, _TREE_LIMIT = 120.0, 600.0, 16 << 20
_SCHEDULER = "manifests/cluster-scheduler-02-config.yml"
_SCHEDULES = '{"apiVersion": "config.openshift.io/v1", "kind": "Scheduler", "metadata": {"name": "cluster"}, "spec": '
_MACHINES = "99_openshift-cluster-api_*machine*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """Where a set's programs lie; nobody has made them executable."""

    installer: Path
    oc: Path


class OkdPrograms:
    """Raises `ClusterError` for a program that refuses or does not run. `folder` is private."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._processes, self._folder = processes, folder

    def version(self, tools: Tools) -> str:
        """What the installer says of itself."""
        with self._place(tools) as place:
            return clean(self._run(place, "version"), 400)

    def stream(self, tools: Tools) -> str:
        with self._place(tools) as place:
            return self._run(place, "coreos", "print-stream-json")

    def ignition(self, tools: Tools, spec: OkdSpec, config: str) -> Mapping[str, str]:
        """The installer's tree after all, by path. Its machines are none: nobody but the appliance makes them."""
        with self._place(tools) as place:
            work = place / "work"
            work.mkdir()
            (work / install_config.NAME).write_text(config)
            self._run(place, "create", "manifests", "--dir", str(work))
            schedulable = "false" if spec.workers else "true"
            (work / _SCHEDULER).write_text(f'{_SCHEDULES}{{"mastersSchedulable": {schedulable}}}}}\n')
            for path in (work / "openshift").glob(_MACHINES):
                path.unlink()
            kind = "single-node-ignition-config" if is_single(spec) else "ignition-configs"
            self._run(place, "create", kind, "--dir", str(work), seconds=_MAKE_SECONDS)
            return _tree(work)

    def agent_files(self, tools: Tools, config: str, agent: str) -> tuple[str, ...]:
        """Names of what agents would boot, and no more of it."""
        with self._place(tools) as place:
            work = place / "work"
            work.mkdir()
            (work / install_config.NAME).write_text(config)
            (work / agent_config.NAME).write_text(agent)
            self._run(place, "agent", "create", "pxe-files", "--dir", str(work), seconds=_MAKE_SECONDS)
            return tuple(sorted(path.name for path in work.glob("boot-artifacts/*")))

    def access(self, tools: Tools, kubeconfig: Secret) -> object:
        """A kubeconfig as JSON, by the release's own reading of it."""
        with self._place(tools) as place:
            path = place / "kubeconfig"
            path.write_text(kubeconfig.reveal())
            argv = [str(place / "oc"), f"--kubeconfig={path}", "config", "view", "--raw", "-o", "json"]
            value: object = json.loads(self._checked(argv, _SECONDS))
            return value

    def confirmed(self, tools: Tools, what: str, kubeconfig: Secret) -> str:
        """What the installer's own `wait-for` says last, of what has come about already."""
        with self._place(tools) as place:
            work = place / "work"
            (work / KUBECONFIG).parent.mkdir(parents=True)
            (work / KUBECONFIG).write_text(kubeconfig.reveal())
            return self._run(place, "wait-for", what, "--dir", str(work), errors=True)

    @contextmanager
    def _place(self, tools: Tools) -> Iterator[Path]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self._folder) as name:
            place = Path(name)
            try:
                for source, program in ((tools.installer, "openshift-install"), (tools.oc, "oc")):
                    shutil.copyfile(source, place / program)
                    (place / program).chmod(0o700)
                yield place
            except OSError as error:
                raise ClusterError(
                    "the release's programs could not be run",
                    evidence=str(error)[:200],
                    next_action="look at the disk of the state folder; import the set again",
                ) from error

    def _run(self, place: Path, *words: str, seconds: float = _SECONDS, errors: bool = False) -> str:
        return self._checked([str(place / "openshift-install"), *words], seconds, errors=errors)

    def _checked(self, argv: list[str], seconds: float, *, errors: bool = False) -> str:
        """Its output, or the last line of its errors."""
        try:
            done = self._processes.run(argv, timeout=seconds)
        except ToolError as error:
            raise ClusterError(f"{Path(argv[0]).name} did not do it", evidence=error.evidence or str(error)) from error
        said = done.errors.decode(errors="replace").strip().splitlines()[-3:]
        if done.status != 0:
            raise ClusterError(
                f"{Path(argv[0]).name} {' '.join(argv[1:3])} refuses",
                evidence=clean(" ".join(said), 500) or f"status {done.status}",
                next_action="correct what it names, and plan again",
            )
        return clean(said[-1], 300) if errors and said else done.output.decode(errors="replace")


def _tree(folder: Path) -> Mapping[str, str]:
    found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    if sum(path.stat().st_size for path in found.values()) > _TREE_LIMIT:
        raise ClusterError("openshift-install left more than anybody expects", evidence=f"over {_TREE_LIMIT} bytes")
    return {name: path.read_text(errors="replace") for name, path in found.items()}
