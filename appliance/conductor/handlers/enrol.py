"""Who is behind this BMC?"""

from appliance.conductor.decision import Ask, AskIdentity, Decision, Done, Failed, View
from appliance.model.bmc import SystemIdentity
from appliance.store.records import IdentityRead, Problem


def enrol(view: View) -> Decision:
    heard = view.last(AskIdentity)
    if heard is None:
        return Ask(question=AskIdentity(), why="waiting for the BMC to say which machine it controls")
    if heard.problem is not None:
        return Failed(problem=heard.problem)
    assert isinstance(heard.answer, SystemIdentity)  # noqa: S101  the outbox answers a question with its own kind
    return _known(view, heard.answer)


def _known(view: View, identity: SystemIdentity) -> Decision:
    """Two machines with one identity would be given each other's boots. What was read is recorded all the same: from
    then on neither is booted, before a person has looked."""
    learnt = (IdentityRead(machine=view.state.name, identity=identity),)
    if (problem := duplicate(view, identity)) is not None:
        return Failed(problem=problem, learnt=learnt)
    evidence = {"serial": identity.serial, "uuid": str(identity.uuid or ""), "power": identity.power.value}
    return Done(evidence=evidence, learnt=learnt)


def duplicate(view: View, identity: SystemIdentity) -> Problem | None:
    """Why a machine of this identity is not booted, if another one shows it as well."""
    if (clash := view.clash_of(identity)) is None:
        return None
    return Problem(
        code="duplicate-identity",
        message=clash.why,
        evidence=f"{identity.path}: serial {identity.serial}, UUID {identity.uuid}",
        next_action="correct the BMC address in the site program, or the cloned identity in the firmware",
    )
