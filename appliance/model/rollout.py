"""In which order a run takes the machines of its plan."""

from dataclasses import dataclass

from appliance.model.ids import MachineName


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """The canary goes first and alone; then at most `at_once` machines are under way (0: no limit). `why` is the
    sentence that says where the number comes from."""

    canary: tuple[MachineName, ...] = ()
    at_once: int = 0
    why: str = ""
