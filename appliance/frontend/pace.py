"""How a step comes along: what it has done, how long it will take, and whether steps like it took as long. Pure."""

from dataclasses import dataclass

from appliance.frontend import units
from appliance.model.views import MachineView, StepState


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """`took` and `left` in seconds; `left` None where nothing tells. `usual`: 95 of 100 steps like it took no longer,
    None where too few were seen. `late` by how much it is beyond that, 0 while it is not."""

    took: float
    left: float | None
    usual: float | None
    late: float

    @property
    def text(self) -> str:
        """ "about 15s left; 95 of 100 like it took at most 55s" """
        left = () if self.left is None else (f"about {units.duration(self.left)} left",)
        if self.usual is None:
            return "; ".join((*left, "too few like it were seen to say what is usual"))
        late = f", so this one is {units.duration(self.late)} late" if self.late else ""
        return "; ".join((*left, f"95 of 100 like it took at most {units.duration(self.usual)}{late}"))


def pace(machine: MachineView, now: float) -> Pace | None:
    """Of the step that runs; None while none does. Bytes tell better than the past how long it goes on."""
    step = machine.step
    if step is None or step.started is None or step.state is not StepState.RUNNING:
        return None
    took = max(0.0, now - step.started)
    left = machine.progress.eta if machine.progress is not None else None
    if left is None and step.usual is not None and took <= step.usual:
        left = step.usual - took
    late = 0.0 if step.usual is None else max(0.0, took - step.usual)
    return Pace(took=took, left=left, usual=step.usual, late=late)


def place_text(machine: MachineView) -> str:
    """ "step 3 of 7"; "" where the machine has no step."""
    return f"step {machine.step_number} of {machine.step_count}" if machine.step_number else ""
