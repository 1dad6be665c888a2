"""What steering a run means, and the question that it begins with. Pure."""

from appliance.tui.state import Ask, Prompt, Steer, Steering

_SAYS = {
    Steering.PAUSE: "No machine of run {run} begins a step; steps under way go on to their end.",
    Steering.RESUME: "Run {run} goes on where it was paused.",
    Steering.CANCEL: "Run {run} ends where it stands. What is half done stays half done until the next plan.",
    Steering.SET_ASIDE: "Run {run} goes on without {machine}, which is left as it is.",
    Steering.RETRY: "Run {run} tries again what failed on {machine}, or takes it in again.",
}
_WITH_REASON = frozenset({Steering.PAUSE, Steering.SET_ASIDE})


def steering(verb: Steering, run: str, machine: str = "") -> Prompt:
    says = (_SAYS[verb].format(run=run, machine=machine),)
    then = Steer(verb=verb, run=run, machine=machine)
    if verb in _WITH_REASON:
        return Prompt(ask=Ask.TEXT, label="Why? Enter alone leaves: ", says=says, then=then)
    return Prompt(ask=Ask.YES, label=f"y and Enter: {verb.value}; Enter alone leaves: ", says=says, then=then)
