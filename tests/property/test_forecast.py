"""How long steps take together, of any graph: at least the longest chain and each machine's own work, and longer steps
never make it shorter."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from appliance.conductor.forecast import Work, together
from appliance.model.ids import MachineName, StepId
from appliance.model.rollout import Rollout

NAMES = tuple(map(MachineName, "abcde"))
SECONDS = st.integers(0, 50).map(float)
SOME = st.sets(st.sampled_from(NAMES)).map(lambda names: tuple(sorted(names)))


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Work, ...]:
    """Needs come before who needs them, as in every plan."""
    made: list[Work] = []
    for number in range(draw(st.integers(1, 12))):
        needs = draw(st.sets(st.sampled_from([one.id for one in made]), max_size=3)) if made else set()
        machine, seconds = draw(st.sampled_from(NAMES)), draw(SECONDS)
        made.append(Work(id=StepId(str(number)), machine=machine, seconds=seconds, needs=tuple(sorted(needs))))
    return tuple(made)


ROLLOUTS = st.builds(Rollout, canary=SOME, at_once=st.integers(0, 4))


def longest_chain(work: tuple[Work, ...]) -> float:
    ends: dict[StepId, float] = {}
    for one in work:
        ends[one.id] = one.seconds + max((ends[need] for need in one.needs), default=0.0)
    return max(ends.values())


@given(work=graphs(), rollout=ROLLOUTS, entered=SOME)
def test_never_less_than_the_longest_chain_or_a_machine_s_own_work(
    work: tuple[Work, ...], rollout: Rollout, entered: tuple[MachineName, ...]
) -> None:
    whole = together(work, rollout, entered)
    own = {name: sum(one.seconds for one in work if one.machine == name) for name in NAMES}
    assert whole >= longest_chain(work)
    assert whole >= max(own.values())
    outside = [seconds for name, seconds in own.items() if name not in entered and name not in rollout.canary]
    assert whole >= sum(outside) / (rollout.at_once or len(NAMES)) - 1e-6


@given(work=graphs(), rollout=ROLLOUTS, entered=SOME, longer=st.integers(0, 11), more=SECONDS)
def test_a_longer_step_never_makes_it_shorter(
    work: tuple[Work, ...], rollout: Rollout, entered: tuple[MachineName, ...], longer: int, more: float
) -> None:
    at = longer % len(work)
    slower = (*work[:at], replace(work[at], seconds=work[at].seconds + more), *work[at + 1 :])
    assert (
        together(work, rollout, entered)
        <= together(slower, rollout, entered)
        <= (together(work, rollout, entered) + more * len(work))
    )
