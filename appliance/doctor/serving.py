"""What the appliance runs and holds for clusters. Nothing of it keeps a machine from being installed, so that the worst
is a warning: a cluster asks for itself. Pure."""

from collections.abc import Sequence

from appliance.doctor.facts import Kept, Service
from appliance.doctor.say import good, unknown, warning
from appliance.model.doctor import Check, Finding


def services(found: Sequence[Service], now: float) -> tuple[Finding, ...]:
    """Nothing where the site program states none."""
    if not found:
        return ()
    bad = tuple(finding for one in found for finding in _ended(one, now))
    names = ", ".join(one.name for one in found)
    return bad or (good(Check.SERVICES, "the services for clusters run", names),)


def _ended(one: Service, now: float) -> tuple[Finding, ...]:
    action = "read what it said; it is started again by itself"
    if one.running_since is None:
        cause = f"the {one.name} does not run"
        return (warning(Check.SERVICES, cause, one.last, action, "journalctl -u innervate"),)
    if one.ends and now - one.running_since < _FRESH_SECONDS:
        cause = f"the {one.name} has ended {one.ends} times, and was started again"
        return (warning(Check.SERVICES, cause, one.last, action, "journalctl -u innervate"),)
    return ()


_FRESH_SECONDS = 600.0


def sets(found: Sequence[Kept]) -> tuple[Finding, ...]:
    if not found:
        return ()
    bad = tuple(_incomplete(one) for one in found if one.gaps)
    unseen = [one.name for one in found if one.gaps is None]
    if unseen and not bad:
        return (unknown(Check.SETS, "nobody has asked for the parts of some artifact sets yet", ", ".join(unseen)),)
    held = ", ".join(f"{one.name} ({one.provenance})" for one in found)
    return bad or (good(Check.SETS, "every part of the artifact sets answers", held),)


def _incomplete(one: Kept) -> Finding:
    gaps = one.gaps or ()
    cause = f"the artifact set {one.name} is not complete: no cluster can be made of it"
    return warning(Check.SETS, cause, "; ".join(gaps[:3]), "import it again", f"innervate set check {one.name}")
