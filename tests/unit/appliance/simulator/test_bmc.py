"""The simulated BMC, without sockets: what our driver never asks for in vain, others may."""

import json

import pytest

from appliance.bmc.redfish_codec import JsonObject
from appliance.model.bmc import BootMode, BootOverride, BootTarget, BootTerm, PowerState
from appliance.simulator.bmc import SESSIONS, Request, SimulatedBmc
from appliance.simulator.faults import Fault, Injection, Manner, Reply, Strike
from appliance.simulator.personality import HABITS, Make, tree_of
from tests.contract.redfish_bmc import VirtualClock

SYSTEM = "/redfish/v1/Systems/1"
RESET = f"{SYSTEM}/Actions/ComputerSystem.Reset"
NETWORK: JsonObject = {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe"}


class Client:
    def __init__(self, make: Make) -> None:
        self.bmc = SimulatedBmc(tree_of(make), HABITS[make], VirtualClock(), user="root", password="calvin")
        self._token = ""

    def log_in(self, word: str = "calvin") -> Reply:
        reply = self.ask("POST", SESSIONS, {"UserName": "root", "Password": word})
        self._token = reply.headers.get("X-Auth-Token", "")
        return reply

    def ask(self, method: str, path: str, body: JsonObject | None = None, **headers: str) -> Reply:
        named = {"x-auth-token": self._token} | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.bmc.answer(Request(method=method, path=path, headers=named, body=body))

    def document(self, path: str = SYSTEM) -> JsonObject:
        document: JsonObject = json.loads(self.ask("GET", path).body)
        return document


@pytest.fixture
def hpe() -> Client:
    client = Client(Make.HPE)
    client.log_in()
    return client


def test_only_the_root_is_for_everyone() -> None:
    client = Client(Make.HPE)
    assert client.log_in("guess").status == 401
    assert client.ask("GET", "/redfish/v1/").status == 200
    assert client.ask("GET", SYSTEM).status == 401
    assert client.ask("GET", SYSTEM, authorization="Basic cm9vdDpjYWx2aW4=").status == 200


def test_session_ends_when_it_is_deleted(hpe: Client) -> None:
    assert len(hpe.bmc.sessions) == 1
    assert hpe.ask("DELETE", f"{SESSIONS}/1").status == 204
    assert hpe.ask("GET", SYSTEM).status == 401


def test_hpe_refuses_what_is_already_so(hpe: Client) -> None:
    assert hpe.ask("POST", RESET, {"ResetType": "ForceOff"}).status == 400
    assert hpe.ask("POST", RESET, {"ResetType": "On"}).status == 204
    assert hpe.ask("POST", RESET, {"ResetType": "On"}).status == 400
    assert len(hpe.bmc.machine.boots) == 1


@pytest.mark.parametrize("body", [None, {}, {"ResetType": "Explode"}])
def test_what_is_no_command_changes_nothing(hpe: Client, body: JsonObject | None) -> None:
    assert hpe.ask("POST", RESET, body).status == 400
    assert hpe.bmc.machine.power is PowerState.OFF


@pytest.mark.parametrize(
    "boot", [{**NETWORK, "BootSourceOverrideTarget": "Tape"}, {**NETWORK, "BootSourceOverrideEnabled": "Often"}]
)
def test_boot_source_that_is_none_changes_nothing(hpe: Client, boot: JsonObject) -> None:
    before = hpe.document()
    assert hpe.ask("PATCH", SYSTEM, {"Boot": boot}).status == 400
    assert hpe.document() == before


def test_supermicro_accepts_and_forgets_what_is_incomplete() -> None:
    client = Client(Make.SUPERMICRO)
    client.log_in()
    assert client.ask("PATCH", SYSTEM, {"Boot": NETWORK}).status == 204
    assert client.bmc.machine.override.target is BootTarget.NONE
    assert client.ask("PATCH", SYSTEM, {"Boot": {**NETWORK, "BootSourceOverrideMode": "Legacy"}}).status == 204
    wanted = BootOverride(target=BootTarget.NETWORK, term=BootTerm.ONCE, mode=BootMode.LEGACY)
    assert client.bmc.machine.override == wanted


def test_lenovo_knows_a_leaf_after_its_parent_and_demands_its_etag() -> None:
    client = Client(Make.LENOVO)
    client.log_in()
    assert client.ask("GET", SYSTEM).status == 404
    client.ask("GET", "/redfish/v1/Systems")
    etag = client.ask("GET", SYSTEM).headers["ETag"]
    change: JsonObject = {"Boot": NETWORK}
    assert client.ask("PATCH", SYSTEM, change).status == 428
    assert client.ask("PATCH", SYSTEM, change, if_match='"other"').status == 412
    assert client.ask("PATCH", SYSTEM, change, if_match=etag).status == 204
    assert client.ask("PATCH", SYSTEM, change, if_match=etag).status == 412


def test_dell_does_nothing_before_its_task_is_done() -> None:
    client = Client(Make.DELL)
    client.log_in()
    path = "/redfish/v1/Systems/System.Embedded.1/Settings"
    task = client.ask("PATCH", path, {"Boot": NETWORK}).headers["Location"]
    looks = []
    while client.bmc.machine.override.target is BootTarget.NONE and len(looks) < 10:
        looks.append(client.ask("GET", task).status)
    assert looks == [404, 202, 202, 200]
    assert client.document(path)["Boot"]["BootSourceOverrideTarget"] == "Pxe"  # type: ignore[index,call-overload]


def test_lie_is_shown_and_not_done(hpe: Client) -> None:
    hpe.bmc.inject(Injection(fault=Fault.LIES_ABOUT_POWER))
    assert hpe.ask("POST", RESET, {"ResetType": "On"}).status == 204
    assert hpe.document()["PowerState"] == "On"
    assert hpe.bmc.machine.power is PowerState.OFF
    assert hpe.bmc.machine.sightings(2e9) == ()


@pytest.mark.parametrize(
    ("strike", "read", "carried_out"),
    [(Strike.ALWAYS, Manner.NEVER, 0), (Strike.INSTEAD, Manner.AT_ONCE, 0), (Strike.AFTER, Manner.AT_ONCE, 1)],
)
def test_where_a_fault_strikes(hpe: Client, strike: Strike, read: Manner, carried_out: int) -> None:
    hpe.bmc.inject(Injection(fault=Fault.SILENT, strike=strike))
    assert hpe.ask("GET", SYSTEM).manner is read
    assert hpe.ask("POST", RESET, {"ResetType": "On"}).manner is Manner.NEVER
    assert len(hpe.bmc.machine.boots) == carried_out


def test_busy_ends_for_each_resource_by_itself(hpe: Client) -> None:
    hpe.bmc.inject(Injection(fault=Fault.BUSY))
    assert [hpe.ask("GET", SYSTEM).status for _ in range(3)] == [503, 503, 200]
    assert hpe.ask("GET", "/redfish/v1/Systems").status == 503


def test_sessions_are_full_and_ours_has_ended(hpe: Client) -> None:
    hpe.bmc.inject(Injection(fault=Fault.SESSIONS_FULL))
    assert hpe.ask("GET", SYSTEM).status == 401
    assert hpe.log_in().status == 503
    hpe.bmc.inject(None)
    assert hpe.log_in().status == 201


def test_etags_are_empty_or_weak_by_turns_and_refused(hpe: Client) -> None:
    hpe.bmc.inject(Injection(fault=Fault.BAD_ETAGS))
    etags = [hpe.ask("GET", SYSTEM).headers["ETag"] for _ in range(2)]
    assert {etag[:2] for etag in etags} == {'""', "W/"}
    assert [hpe.ask("PATCH", SYSTEM, {"Boot": NETWORK}, if_match=etag).status for etag in etags] == [412, 412]
    strong = max(etags).removeprefix("W/")
    assert hpe.ask("PATCH", SYSTEM, {"Boot": NETWORK}, if_match=strong).status == 204


def test_reset_heals_what_needs_it(hpe: Client) -> None:
    hpe.bmc.inject(Injection(fault=Fault.NEEDS_RESET))
    assert hpe.ask("PATCH", SYSTEM, {"Boot": NETWORK}).status == 409
    hpe.ask("POST", "/redfish/v1/Managers/1/Actions/Manager.Reset", {"ResetType": "ForceRestart"})
    hpe.log_in()
    assert hpe.ask("PATCH", SYSTEM, {"Boot": NETWORK}).status == 204
    assert hpe.bmc.resets == 1
