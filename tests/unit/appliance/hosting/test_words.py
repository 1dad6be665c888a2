"""What a host answers, read; and what is thought of it."""

from dataclasses import replace

import pytest

from appliance.apps.verdict import State
from appliance.hosting import account, verdict
from appliance.hosting.account import Account
from appliance.hosting.units import Unit
from appliance.hosting.words import Service, Sight, sight
from appliance.model.application import AppName

WEB = AppName("web")
IMAGE = f"10.77.0.1:5000/apps/web@sha256:{'ab' * 32}"
FOLDER = "/etc/containers/systemd/innervate-web"
UNITS = (Unit(file="web.container", text="[Container]\n"), Unit(file="data.volume", text="[Volume]\n"))
ACCOUNT = Account(name=WEB, revision="a" * 64, version="1.0.0", units=("data.volume", "web.container"), images=(IMAGE,))
ANSWER = f"""\
account={account.text(ACCOUNT).strip()}
account=not ours
file={UNITS[0].sha256}  {FOLDER}/web.container
file={UNITS[1].sha256}  {FOLDER}/data.volume
Id=web.service
LoadState=loaded
ActiveState=active
SubState=running
SourcePath={FOLDER}/web.container
ActiveEnterTimestampMonotonic=60000000

Id=data-volume.service
LoadState=loaded
ActiveState=active
SubState=exited
SourcePath={FOLDER}/data.volume
ActiveEnterTimestampMonotonic=59000000

uptime=100.25
container=web systemd-web Up 40 seconds (healthy)
volume=web systemd-data
network=
image={IMAGE}
"""


def test_a_moment_of_a_host() -> None:
    seen = sight(ANSWER)
    assert seen.accounts == {WEB: ACCOUNT}
    assert "not ours" in seen.strange
    assert seen.services["web.service"] == service(seconds=40.25)
    assert seen.containers[WEB] == {"systemd-web": "Up 40 seconds (healthy)"}
    assert (seen.volumes[WEB], seen.images) == (("systemd-data",), frozenset({IMAGE}))
    assert verdict.judged(WEB, UNITS, seen).state is State.WELL
    assert not verdict.changed(WEB, UNITS, seen)
    assert not verdict.stopped(UNITS, seen)
    assert not verdict.clash(WEB, UNITS, seen)


def test_a_host_without_anything() -> None:
    assert sight("\n\nuptime=3\n") == Sight()


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"application": "web"}',
        account.text(replace(ACCOUNT, name=AppName("../etc"))),
        account.text(ACCOUNT).replace('"web.container"', "7"),
    ],
)
def test_an_account_that_is_not_ours(line: str) -> None:
    seen = sight(f"account={line}\n")
    assert not seen.accounts
    assert "cannot be read" in seen.strange


def service(
    name: str = "web.service", *, load: str = "loaded", active: str = "active", sub: str = "running", seconds: float = 9
) -> Service:
    return Service(name=name, load=load, active=active, sub=sub, source=f"{FOLDER}/web.container", seconds=seconds)


def here(one: Service | None = None, said: str = "") -> Sight:
    return Sight(services={one.name: one} if one is not None else {}, containers={WEB: {"systemd-web": said}})


@pytest.mark.parametrize(
    ("seen", "state", "why"),
    [
        (here(service()), State.WELL, ""),
        (here(service(sub="exited", seconds=0)), State.WELL, ""),
        (here(service(seconds=2)), State.WAITS, "web.service runs for 2 s only"),
        (here(), State.WAITS, "web.service is not there yet"),
        (here(service(load="not-found")), State.WAITS, "web.service is not there yet"),
        (here(service(active="failed", sub="failed")), State.FAILED, "web.service has failed"),
        (
            here(service(active="activating", sub="start"), "Up 3 seconds (starting)"),
            State.WAITS,
            "web.service is activating (start): Up 3 seconds (starting)",
        ),
        (
            here(service(), "Up 3 seconds (unhealthy)"),
            State.WAITS,
            "web.service runs, and its container is not well: Up 3 seconds (unhealthy)",
        ),
    ],
)
def test_what_is_thought_of_it(seen: Sight, state: State, why: str) -> None:
    judged = verdict.judged(WEB, UNITS, seen)
    assert (judged.state, judged.why) == (state, why)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, "data.volume is not there; web.container is not there"),
        ({"web.container": "0" * 64}, "data.volume is not there; web.container is another"),
        ({"web.container": "0" * 64, "x.container": "1" * 64, ".part": "2" * 64}, "x.container is nobody's"),
    ],
)
def test_what_was_changed(files: dict[str, str], why: str) -> None:
    seen = Sight(files={f"{FOLDER}/{file}": digest for file, digest in files.items()})
    assert why in verdict.changed(WEB, UNITS, seen)


@pytest.mark.parametrize("active", ["inactive", "failed"])
def test_what_nobody_starts_any_more(active: str) -> None:
    assert verdict.stopped(UNITS, here(service(active=active))) == f"web.service is {active}"
    assert verdict.stopped(UNITS, here()) == "web.service is not there"
    assert not verdict.stopped(UNITS, here(service(active="activating")))


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (Sight(files={"/etc/containers/systemd/innervate-other/web.container": "0"}), "a unit web.container already"),
        (Sight(files={"/etc/containers/systemd/data.volume": "0"}), "a unit data.volume already"),
        (
            Sight(services={"web.service": replace(service(), source="")}),
            "a service web.service already, which is not podman's",
        ),
    ],
)
def test_names_that_are_somebody_elses(seen: Sight, why: str) -> None:
    assert why in verdict.clash(WEB, UNITS, seen)


def test_names_that_only_look_alike() -> None:
    seen = Sight(files={"/etc/containers/systemd/innervate-other/theweb.container": "0"})
    assert not verdict.clash(WEB, UNITS, seen)


def test_what_is_left() -> None:
    seen, data = sight(ANSWER), "volume systemd-data"
    all_of_it = verdict.left(WEB, seen, keeps_data=False)
    assert set(all_of_it) == {
        "container systemd-web",
        f"image {IMAGE}",
        "unit data.volume",
        "unit web.container",
        data,
    }
    assert set(all_of_it) - set(verdict.left(WEB, seen, keeps_data=True)) == {data}
    assert not verdict.left(AppName("we"), seen, keeps_data=False)
