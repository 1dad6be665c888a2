"""What both sides of the journal bench share: the load, the marks between which is measured, the figures."""

from dataclasses import dataclass
from resource import RUSAGE_SELF, getrusage

STEPS = 20
WARM_UP_SECONDS = 1.0
RATE, CPU, TOTAL = "steps_per_s", "cpu_us_per_step", "steps"
OURS_FILE, DBOS_FILE = "records.db", "dbos.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """`wall` and `cpu` in seconds, the CPU time of the whole process; `steps` that were acknowledged until then."""

    wall: float
    cpu: float
    steps: int


def figures(before: Mark, after: Mark) -> dict[str, float]:
    """A rate of 0 when nothing was done; `steps` are all since the start: they must be on the disk."""
    done, wall = after.steps - before.steps, after.wall - before.wall
    return {
        RATE: done / wall,
        CPU: (after.cpu - before.cpu) * 1e6 / max(1, done),
        TOTAL: after.steps,
        "rss_mib": getrusage(RUSAGE_SELF).ru_maxrss / 1024,
    }
