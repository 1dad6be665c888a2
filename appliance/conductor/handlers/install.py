"""Starting the operating system that was put on a disk."""

from appliance.conductor.decision import Decision, Done, Failed, Tell, View, Wait
from appliance.conductor.handlers.agent import RETURN_PATIENCE, exchange, offer
from appliance.conductor.machine import MachineState
from appliance.conductor.runs import SentOrder
from appliance.model.bmc import BootTarget, PowerCommand
from appliance.model.hardware import Nic
from appliance.model.links import NicLink
from appliance.model.orders import BootOrder, PowerOrder
from appliance.plan import BootDisk
from appliance.store.records import FirstBootSeen, Problem


def boot_disk(view: View, do: BootDisk, now: float) -> Decision:
    """The installed system itself reported with the nonce of its seed; nothing less counts."""
    if (report := _report(view)) is not None:
        return _booted(report)
    if view.attempt.orders:
        return _restarted(view, view.attempt.orders, now)
    if do.by_itself:
        until = (view.attempt.resumed_from or view.attempt.started) + _patience(view)
        return _wait("its installer restarts it", until) if now < until else _by_the_bmc(view.attempt.orders)
    if view.work is None:
        return _before_the_agent(view, now)
    if view.work.ended is None:
        told = exchange(view, view.work, now)
        return Wait(why="the agent restarts the machine", work=True) if isinstance(told, Done) else told
    until = view.work.ended + _patience(view)
    return _wait("rebooting from its disk", until) if now < until else _by_the_bmc(view.attempt.orders)


def _before_the_agent(view: View, now: float) -> Decision:
    """After a restart of ours the agent may be on its way back, or may have left: a restart by the BMC now could hit
    the system's first boot."""
    if view.agent.alive:
        return offer(view)
    if now < (until := view.began + RETURN_PATIENCE):
        return Wait(why="waiting for the agent that was running to poll again", until=until)
    until += _patience(view)
    if view.attempt.resumed_from is not None and now < until:
        return _wait("perhaps told to boot from its disk already", until)
    return _by_the_bmc(view.attempt.orders)


def _by_the_bmc(orders: tuple[SentOrder, ...]) -> Decision:
    if not orders:
        return Tell(order=BootOrder(target=BootTarget.DISK), why="telling the BMC to boot once from the disk")
    return Tell(order=PowerOrder(command=PowerCommand.FORCE_RESTART), why="telling the BMC to restart the machine")


def _restarted(view: View, orders: tuple[SentOrder, ...], now: float) -> Decision:
    last = orders[-1]
    if last.refused is not None:
        return Failed(problem=last.refused)
    if isinstance(last.order, BootOrder):
        return _by_the_bmc(orders)
    until = last.at + _patience(view)
    return _wait("restarted by the BMC from its disk", until) if now < until else Failed(problem=_no_report(view))


def _patience(view: View) -> float:
    return view.step.budget * 0.45


def _wait(how: str, until: float) -> Wait:
    return Wait(why=f"{how}; waiting for the installed system's report", until=until)


def _report(view: View) -> FirstBootSeen | None:
    report = view.state.first_boot
    return report if report is not None and report.nonce == view.state.seed_nonce else None


def _booted(report: FirstBootSeen) -> Done:
    return Done(
        evidence={
            "hostname": report.hostname,
            "address": str(report.address),
            "boot_id": report.boot_id,
            "nonce": report.nonce[:8],
        }
    )


def _no_report(view: View) -> Problem:
    """What is known of the machine tells where to look."""
    if came := sum(at > view.attempt.started for at in view.state.returns):
        return _silent(
            "the machine came back to the boot server, where it was to start from its disk",
            evidence=f"sent to its disk {came} times; {_NO_REPORT}",
            next_action="put the disk into the firmware's boot order: right behind the network, or before it where the "
            "firmware does not go on by itself; then plan again",
        )
    if unplugged := _unplugged(view.state):
        return _silent(
            "the installed system never reported: no NIC that its network names has a link",
            evidence=f"when its hardware was read: {', '.join(f'{nic.name} {nic.mac} no link' for nic in unplugged)}",
            next_action=f"plug the cable into {unplugged[0].name}, or name another NIC in the site program; then "
            f"innervate reinstall {view.state.name}",
        )
    return _silent(
        "the disk was written and the machine restarted, but the installed system never reported",
        evidence=_NO_REPORT,
        next_action="read the serial console: boot order, boot loader or the network of the installed system",
    )


def _silent(message: str, *, evidence: str, next_action: str) -> Problem:
    return Problem(code="first-boot-silent", message=message, evidence=evidence, next_action=next_action)


def _unplugged(state: MachineState) -> list[Nic]:
    """The NICs of the network that it was installed with, if none of them had a link."""
    if state.facts is None or state.seed_network is None:
        return []
    macs = {link.mac for link in state.seed_network.links if isinstance(link, NicLink)}
    named = [nic for nic in state.facts.nics if nic.mac in macs]
    return [] if any(nic.carrier for nic in named) else named


_NO_REPORT = "no report with the seed's nonce, neither after its own reboot nor after one by the BMC"
