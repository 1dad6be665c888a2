"""The report as a document: by rack from the top, whole in itself, and text stays text."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from appliance.api.fake_report import SYSTEM, report_of
from appliance.frontend.report import page, racks, took, troubles
from appliance.model.phase import Condition, ConditionKind, Phase
from appliance.model.place import Place
from appliance.model.report_views import HandedOver, ReportView, WorkView
from appliance.model.views import CertificateView, DiskView, MachineView

NOW = 1_800_000_000.0
DISK = DiskView(
    name="sda", serial="DISK0001", wwn="0x5000", size_bytes=4 << 30, model="M", rotational=False, contents="blank"
)
WIPED = CertificateView(serial="DISK9", wwn="", size_bytes=1, time=NOW, run="r1", findings={"blocks": "all zero"})


def machine(name: str, place: Place | None = None) -> MachineView:
    stages = {"dhcp": 5.5, "hello": 21.0}
    return MachineView(
        name=name,
        phase=Phase.ACTIVE,
        since=NOW,
        serial=f"SN-{name}",
        address="10.0.0.5",
        place=place,
        stages=stages,
        disks=(DISK,),
        certificates=(WIPED,),
        bmc="10.9.0.1",
    )


def view(*machines: MachineView) -> ReportView:
    return report_of(machines, (), NOW, "", SYSTEM)


def test_racks_are_read_from_the_top() -> None:
    low, high = machine("b", Place(rack="r1", unit=3)), machine("a", Place(rack="r1", unit=20))
    other, nowhere = machine("c", Place(rack="r2", unit=1)), machine("d")
    found = racks(view(nowhere, low, other, high))
    assert [(shelf.rack, [one.machine.name for one in shelf.machines]) for shelf in found] == [
        ("r1", ["a", "b"]),
        ("r2", ["c"]),
        ("without a place", ["d"]),
    ]


class Document(HTMLParser):
    """Every element that is opened is closed; addresses that it would fetch are kept."""

    _VOID = frozenset({"meta", "br", "hr", "img", "input", "link"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.scripts = 0
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.scripts += tag in ("script", "iframe", "object", "base")
        self.fetched += [value or "" for name, value in attributes if name in ("src", "href", "data", "action")]
        self.scripts += sum(name.startswith("on") for name, _ in attributes)
        if tag not in self._VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_file_of_its_own_says_all_of_it() -> None:
    text = page(view(machine("node-0", Place(rack="r1", unit=3))))
    document = Document(text)
    assert (document.fetched, document.scripts) == ([], 0)
    for said in (
        "SN-node-0",
        "board B0001",
        "2.19.1 (06/04/2026)",
        "DISK0001",
        "5e" * 32,
        "SHA256:kkk",
        "leaf-1 swp7",
        "25000 Mb/s",
        "hello of the agent",
        "blocks all zero",
        "10.9.0.1",
    ):
        assert said in text, said


HOSTILE = (
    "<script>x()</script>",
    '"><img src=x onerror=x()>',
    "\x1b[2Jgone",
    "{{ 7 * 7 }}",
    "</style><script>x</script>",
)


@pytest.mark.parametrize("text", HOSTILE, ids=["script", "attribute", "escape", "template", "style"])
def test_what_hardware_says_stays_text(text: str) -> None:
    one = replace(machine("node-0"), serial=text, product=text, disks=(replace(DISK, model=text, serial=text),))
    system = replace(SYSTEM, manufacturer=text, firmware_version=text, gaps=(text,), gpus=(text,), cpu=text)
    handed = report_of((one,), (), NOW, text, system)
    work = WorkView(run="r", summary=text, state=text, kind="read", started=NOW, problem=text)
    handed = replace(handed, site=text, machines=(replace(handed.machines[0], work=(work,)),))
    shown = page(handed)
    document = Document(shown)
    assert (document.fetched, document.scripts) == ([], 0)
    assert "\x1b" not in shown


def work(run: str, kind: str, start: float, end: float | None, state: str = "done") -> WorkView:
    return WorkView(run=run, summary="s", state=state, kind=kind, started=start, ended=end)


@pytest.mark.parametrize(
    ("done", "seconds"),
    [
        ((), None),
        ((work("a", "read", 0, 9),), None),
        ((work("a", "read", 0, 9), work("b", "destructive", 10, 40), work("b", "read", 40, 95)), 85.0),
        ((work("a", "destructive", 0, 9), work("b", "destructive", 50, 60), work("c", "read", 70, 80)), 10.0),
        ((work("a", "destructive", 0, 9, "failed"),), None),
        ((work("a", "destructive", 0, 9), work("a", "read", 9, None, "running")), 9.0),
    ],
    ids=["nothing", "looked", "installed", "again", "failed", "under-way"],
)
def test_how_long_the_installation_took(done: tuple[WorkView, ...], seconds: float | None) -> None:
    assert took(HandedOver(machine=machine("node-0"), work=done)) == seconds


def test_troubles_are_those_of_now_and_those_on_the_way() -> None:
    held = Condition(kind=ConditionKind.HOLD, since=NOW, reason="fan")
    failed = replace(work("r7", "read", 0, 1, "failed"), problem="no answer")
    one = HandedOver(machine=replace(machine("node-0"), conditions=(held,)), work=(failed, failed))
    assert troubles(one) == ("hold: fan", "s (run r7): no answer")
