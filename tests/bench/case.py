"""What a bench is made of, and how it runs: rounds, in each round every case, in each case every contender once."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from shutil import rmtree
from typing import Literal, assert_never

from tests.bench.errors import BenchError
from tests.bench.lab import Lab
from tests.bench.process import Launch, run_to_end, serve

RSS = "rss_mib"


class Size(Enum):
    """QUICK only shows that everything works."""

    FULL = "full"
    QUICK = "quick"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """`share` of the work is given to those that would need minutes for all of it. Without `cpu_counted` the CPU time
    is not known: what children used is lost when their parent ignores SIGCHLD."""

    name: str
    ours: bool
    launch: Callable[[Path], Launch]
    share: float = 1.0
    cpu_counted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the generator saw. `work` is what the server's CPU time is divided by."""

    metrics: Mapping[str, float]
    work: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`cpu` names the metric of CPU time per unit of work, `cpu_scale` is 1e6 for microseconds.

    `check` proves, before the clock runs, that the server does the work and does it right. It may be costly, so it is
    called in the first round only.
    """

    name: str
    contenders: Sequence[Contender]
    drive: Callable[[Lab, Contender], Load]
    cpu: str
    cpu_scale: float
    check: Callable[[Lab, Path], None] = lambda _lab, _folder: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Programs that measure themselves, on both CPUs and without a network. Each says its figures as one JSON object
    of numbers, `rss_mib` among them, and has `seconds` for it. `check` proves by what it left behind that it did what
    it says."""

    name: str
    contenders: Sequence[Contender]
    seconds: float
    check: Callable[[Contender, Path, Mapping[str, float]], None]


Comparison = Literal[">=", "<=", "<"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """With a peer, the median over the rounds of ours / peer; without, ours alone, the worst round of all."""

    id: str
    case: str
    metric: str
    ours: str
    peer: str = ""
    comparison: Comparison
    bound: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One server under one load. With an `error` there are no metrics."""

    round: int
    case: str
    contender: str
    ours: bool
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    name: str
    size: Size
    runs: Sequence[Run]
    goals: Sequence[Goal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """`packages` are the peers' Debian packages, `environments` those from PyPI; `files` is what they serve, `prepare`
    makes what else they need, with the packages there."""

    name: str
    size: Size
    packages: Sequence[str]
    environments: Sequence[str] = ()
    files: Sequence[Path] = ()
    prepare: Callable[[], None] = lambda: None
    cases: Sequence[Case | Batch]
    goals: Sequence[Goal]

    def run(self, lab: Lab, rounds: int, *, progress: Callable[[str], None]) -> Outcome:
        runs: list[Run] = []
        for number in range(1, rounds + 1):
            for case in self.cases:
                for contender in case.contenders:
                    run = _run(lab, case, contender, number)
                    progress(_line(run))
                    runs.append(run)
        return Outcome(name=self.name, size=self.size, runs=runs, goals=self.goals)


def _run(lab: Lab, case: Case | Batch, contender: Contender, number: int) -> Run:
    folder = lab.folder / "run"
    rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        match case:
            case Case():
                metrics, error = _served(lab, case, contender, folder, first=number == 1), ""
            case Batch():
                metrics, error = _ended(case, contender, folder), ""
            case _:
                assert_never(case)
    except BenchError as trouble:
        metrics, error = {}, str(trouble)
    return Run(
        round=number, case=case.name, contender=contender.name, ours=contender.ours, metrics=metrics, error=error
    )


def _ended(batch: Batch, contender: Contender, folder: Path) -> dict[str, float]:
    text = run_to_end(contender.launch(folder), folder, seconds=batch.seconds)
    try:
        metrics = {str(key): float(value) for key, value in json.loads(text).items()}
    except ValueError as cause:
        raise BenchError(f"{contender.name} said nothing usable: {text[:200]!r}") from cause
    batch.check(contender, folder, metrics)
    return metrics


def _served(lab: Lab, case: Case, contender: Contender, folder: Path, *, first: bool) -> dict[str, float]:
    with serve(lab, contender.launch(folder), folder) as server:
        if first:
            case.check(lab, folder)
        before = server.cpu_seconds()
        load = case.drive(lab, contender)
        cpu = server.cpu_seconds() - before
        if load.work <= 0:
            raise BenchError(f"no work was done: {dict(load.metrics)}")
        cost = {case.cpu: cpu * case.cpu_scale / load.work} if contender.cpu_counted else {}
        return {**load.metrics, **cost, RSS: server.rss_mib()}


def _line(run: Run) -> str:
    figures = " ".join(f"{name}={value:.4g}" for name, value in run.metrics.items())
    return f"round {run.round} {run.case} {run.contender}: {run.error or figures}"
