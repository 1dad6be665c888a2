"""How the fake application's runs stand. Pure."""

from dataclasses import replace

from appliance.model.views import OutlookView, RunSummaryView, RunView, StepState, StepView


def lost(run: RunView) -> frozenset[str]:
    """Steps that can no longer be done: failed, set aside, or behind such a one."""
    gone: set[str] = set()
    for step in run.steps:
        bad = step.state is StepState.FAILED or step.machine in run.set_aside or not gone.isdisjoint(step.needs)
        if bad and step.state is not StepState.DONE:
            gone.add(step.id)
    return frozenset(gone)


def left(run: RunView) -> frozenset[str]:
    """Machines of which something can still be done."""
    gone = lost(run)
    return frozenset(step.machine for step in run.steps if step.state is not StepState.DONE and step.id not in gone)


def begun(outlook: OutlookView | None, now: float) -> OutlookView | None:
    """Of a plan, as it is of its run."""
    return None if outlook is None else replace(outlook, until=now + outlook.seconds)


def turned(step: StepView, before: StepState, after: StepState) -> StepView:
    return replace(step, state=after) if step.state is before else step


def summary_of(run: RunView) -> RunSummaryView:
    machines, gone = {step.machine for step in run.steps}, lost(run)
    return RunSummaryView(
        id=run.id,
        plan=run.plan,
        state=run.state,
        started=run.started,
        ended=run.ended,
        by=run.by,
        goal=run.goal,
        paused=run.paused,
        paused_by=run.paused_by,
        machines=len(machines),
        settled=len(machines - left(run)),
        failed=len({step.machine for step in run.steps if step.id in gone} - left(run)),
    )
