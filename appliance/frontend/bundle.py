"""The first page of a support bundle: what is inside and what is not, and the site at a glance. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.frontend.document import drawn
from appliance.frontend.preflight import details, head
from appliance.model.doctor import DoctorView, Verdict
from appliance.model.report_views import ReportView
from appliance.model.views import EventsView

EVENTS = 2000
_SHOWN = 200

SAYS = {
    "health.json": "the daemon: version, since when it runs, its memory",
    "machines.json": "where each machine stands: phase, step, conditions, evidence, hardware",
    "report.json": "the hand-over report: hardware, what was installed, steps and what failed",
    "explain.json": "why each machine is where it is",
    "runs.json": "all runs",
    "goals.json": "what the daemon goes on with by itself",
    "doctor.json": "what the doctor found last",
    "events.json": f"the latest {EVENTS} events, the latest first",
    "networks.json": "boot networks, other DHCP servers",
    "leases.json": "addresses that were given out",
    "images.json": "the artefact store, and how its files are",
    "clusters.json": "clusters, and what they said last",
    "log.txt": "what the daemon said lately",
    "system.txt": "kernel, memory, disks, versions of packages",
}
LEFT_OUT = (
    "passwords, keys and tokens: where one that the appliance knows stands in a text, it says [secret]",
    "the site program and the configuration file, which may hold secrets that nobody marked",
    "what serial consoles said",
    "cloud-init and Ignition documents, seeds, kubeconfigs",
    "the record log, the audit log, backups",
    "images and artifact sets",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """`views` by the name of their file; `gaps` says of each that is not there why."""

    report: ReportView
    found: DoctorView
    events: EventsView
    views: Mapping[str, object]
    gaps: Mapping[str, str] = field(default_factory=dict)


def cover(inside: Inside, sizes: Mapping[str, int]) -> str:
    """`sizes` in bytes, of every other file that is in the bundle."""
    troubles = [one for one in inside.found.findings if one.verdict is not Verdict.OK]
    content = drawn(
        "_bundle",
        report=inside.report,
        gaps=inside.gaps,
        sizes=sizes,
        says=SAYS,
        left_out=LEFT_OUT,
        findings=[(head(one), tuple(details(one))) for one in troubles],
        events=inside.events.events[:_SHOWN],
    )
    return drawn("alone", title=f"Support bundle, {inside.report.site}", content=content)
