"""Whether the machines' BMCs let us in. Pure."""

from collections.abc import Sequence

from appliance.doctor.facts import Answer
from appliance.doctor.say import failure, good
from appliance.model.doctor import Check, Finding


def bmcs(answers: Sequence[Answer]) -> tuple[Finding, ...]:
    """What is wrong stands in the way of that machine alone."""
    bad = tuple(_bad(answer) for answer in answers if answer.problem)
    well = len(answers) - len(bad)
    return bad or (good(Check.BMCS, f"{well} BMCs answer and let us in"),)


def _bad(answer: Answer) -> Finding:
    what = "does not let us in" if answer.login else "does not answer as it should"
    seen = "; ".join(filter(None, (answer.problem, answer.evidence)))
    action = answer.next_action or "check the BMC's address, cable and power; if it answers ping, reset it"
    command = f"innervate bmc find {answer.url} --login"
    return failure(Check.BMCS, f"the BMC of {answer.machine} {what}", seen, action, command, machine=answer.machine)
