"""What the desk does with BMCs of the site program and others; the network is a table of who answers."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.bmc.discovery import Dialect, Found, Login, Sign, Suspect, Traits
from appliance.bmc.fake import FakeBmc
from appliance.bmc.finder import Finder
from appliance.bmc.port import FullBmc
from appliance.bmc.vault import Entry, Vault
from appliance.errors import BmcError, BmcLoginError, ConflictError, NotFoundError, UsageError
from appliance.lab.topology import lab_rack
from appliance.model.bmc import BmcEndpoint, Health, PowerState, Sensor, SensorKind, SystemIdentity
from appliance.model.bmc_views import BmcSearchRequest, LoginState, VaultScope
from appliance.model.ids import MachineName
from appliance.model.leaving_views import Fate
from appliance.model.secret import Secret
from appliance.services.bmcs import BmcDesk
from appliance.store.secrets import SecretFile
from appliance.system import SystemClock, SystemRng
from appliance.topology import Rack
from pxe.client import Mac
from tests.pictures import png

PIN, OTHER_PIN = "ab" * 32, "cd" * 32
HERE, THERE = IPv4Address("10.9.0.1"), IPv4Address("10.9.0.2")
NODE = MachineName("node")
IDENTITY = SystemIdentity(
    path="/s", uuid=None, serial="SN1", manufacturer="Acme", product="One", macs=(), power=PowerState.OFF
)


class Net(Finder):
    """`answers` are the BMCs; `said` those that answer to a search."""

    def __init__(self, answers: Iterable[Found]) -> None:
        super().__init__(SystemClock(), SystemRng())
        self.answers = {found.address: found for found in answers}
        self.said: tuple[Suspect, ...] = ()
        self.asked: list[IPv4Address] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def search(self, ours: IPv4Address) -> tuple[Suspect, ...]:
        self.asked.append(ours)
        return self.said

    async def probe(self, suspects: Iterable[Suspect]) -> tuple[Found, ...]:
        await self.gate.wait()
        return tuple(self.answers[suspect.address] for suspect in suspects if suspect.address in self.answers)


class Lock(FakeBmc):
    """Lets in whoever has the password; `dialled` are those that were tried."""

    def __init__(self, dialler: "Dialler", endpoint: BmcEndpoint) -> None:
        super().__init__(IDENTITY, lambda _command: None)
        self._dialler, self._endpoint = dialler, endpoint

    async def identify(self) -> SystemIdentity:
        self._dialler.tried.append((self._endpoint.user, self._endpoint.password.reveal()))
        if self._dialler.password != self._endpoint.password:
            raise BmcLoginError("refused", next_action="none")
        return IDENTITY

    async def sensors(self) -> tuple[Sensor, ...]:
        self._dialler.read += 1
        return self._dialler.readings

    async def screen(self) -> bytes:
        self._dialler.read += 1
        self.picture = self._dialler.picture
        return await super().screen()

    async def change_password(self, password: Secret) -> None:
        self._dialler.password = password


class Dialler:
    readings: tuple[Sensor, ...] = ()
    picture = b""
    read = 0

    def __init__(self, password: str) -> None:
        self.password, self.tried = Secret(password), list[tuple[str, str]]()

    def dial(self, endpoint: BmcEndpoint) -> FullBmc:
        return Lock(self, endpoint)

    async def close(self) -> None:
        pass


def bmc(address: IPv4Address = HERE, pin: str = PIN, make: str = "Acme") -> Found:
    traits = Traits(make=make, mac=Mac("52:54:00:00:00:01"))
    return Found(address=address, dialect=Dialect.REDFISH, port=443, fingerprint=pin, traits=traits)


def rack(password: str = "", pin: str = PIN, url: str = f"https://{HERE}") -> Rack:
    whole = lab_rack()
    endpoint = BmcEndpoint(url=url, user="root", password=Secret(password), fingerprint=pin)
    server = replace(whole.servers[0], name=NODE, bmc=endpoint, address=None, mac=None)
    return replace(whole, servers=(server,))


class Scene:
    def __init__(self, folder: Path, site: Rack, *, password: str, found: Iterable[Found]) -> None:
        self.file = SecretFile(folder / "bmc.vault", SystemRng())
        self.vault = Vault(self.file, SystemClock())
        self.net, self.dialler = Net(found), Dialler(password)
        self.desk = BmcDesk(site, self.net, self.vault, self.dialler, SystemClock(), SystemRng())

    def close(self) -> None:
        self.file.close()

    async def searched(self, request: BmcSearchRequest) -> None:
        self.desk.search(request)
        await self.settled(lambda: not self.desk.bmcs().searching)

    async def settled(self, wanted: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not wanted():  # noqa: ASYNC110  nothing here takes time
                await asyncio.sleep(0)

    def password(self) -> str:
        return self.desk.endpoint_of(NODE).password.reveal()


def play(
    folder: Path,
    scene: Callable[[Scene], Awaitable[None]],
    site: Rack | None = None,
    *,
    password: str = "right",  # noqa: S107
    found: Iterable[Found] = (bmc(),),
) -> None:
    async def whole() -> None:
        with closing(Scene(folder, site or rack(), password=password, found=found)) as stage:
            await scene(stage)
            await stage.desk.close()

    asyncio.run(asyncio.wait_for(whole(), 20))


def site_wide(password: str) -> Entry:
    return Entry(scope=VaultScope.SITE, value="", user="ops", password=Secret(password))


def test_log_in_that_the_site_program_leaves_out_is_the_vaults(tmp_path: Path) -> None:
    async def scene(stage: Scene) -> None:
        with pytest.raises(BmcLoginError, match="no log-in of node's BMC") as caught:
            stage.desk.endpoint_of(NODE)
        assert "innervate bmc vault add" in caught.value.next_action
        stage.desk.add_entry(site_wide("right"))
        await stage.settled(lambda: stage.vault.known(bmc()) is not None)
        assert stage.desk.endpoint_of(NODE) == BmcEndpoint(
            url=f"https://{HERE}", user="ops", password=Secret("right"), fingerprint=PIN
        )
        assert isinstance(stage.desk.bmc_of(NODE), Lock)

    play(tmp_path, scene)


def test_rotation_makes_no_site_program_wrong_and_forgetting_turns_it_round(tmp_path: Path) -> None:
    async def scene(stage: Scene) -> None:
        assert stage.password() == "right"
        view = await stage.desk.rotate(f"https://{HERE}")
        assert (view.login, view.machine, view.must_change, view.serial) == (LoginState.WORKS, NODE, False, "SN1")
        assert stage.password() == stage.dialler.password.reveal() != "right"
        await stage.desk.forget(f"https://{HERE}")
        assert stage.password() == "right"
        with pytest.raises(NotFoundError):
            await stage.desk.forget(f"https://{HERE}")

    play(tmp_path, scene, rack("right", PIN.upper()))


def test_a_machine_that_retires_takes_its_log_in_along(tmp_path: Path) -> None:
    async def scene(stage: Scene) -> None:
        assert stage.desk.forget_login(NODE) == "none in the vault; the site program states one"
        await stage.desk.rotate(f"https://{HERE}")
        assert stage.vault.known(bmc()) is not None
        assert stage.desk.forget_login(NODE) == "none in the vault; the site program states one"
        assert stage.vault.known(bmc()) is None

    play(tmp_path, scene, rack("right"))


def test_rotation_that_was_cut_off_is_settled_at_start(tmp_path: Path) -> None:
    async def scene(stage: Scene) -> None:
        await stage.desk.rotate(f"https://{HERE}")
        begun = stage.vault.begin(bmc(), Secret("half-way"))
        stage.dialler.password = begun.password
        stage.desk.start()
        await stage.settled(lambda: stage.vault.begun(bmc()) is None)
        assert stage.password() == "half-way"

    play(tmp_path, scene, rack("right"))


def test_nothing_is_sent_to_a_bmc_with_another_certificate_than_stated(tmp_path: Path) -> None:
    async def scene(stage: Scene) -> None:
        stage.desk.add_entry(site_wide("right"))
        await stage.searched(BmcSearchRequest(targets=(str(HERE),), login=True))
        (view,) = stage.desk.bmcs().bmcs
        assert (view.login, view.machine) == (LoginState.FAILED, NODE)
        assert OTHER_PIN in view.evidence
        assert "another certificate" in view.problem
        assert not stage.dialler.tried

    play(tmp_path, scene, rack("right"), found=[bmc(pin=OTHER_PIN)])


def test_site_programs_new_pin_counts_before_what_the_vault_learnt(tmp_path: Path) -> None:
    async def scene(stage: Scene) -> None:
        stage.vault.worked(bmc(pin=OTHER_PIN), Login(user="old", password=Secret("old")))
        assert stage.password() == "right"

    play(tmp_path, scene, rack("right"))

    async def without(stage: Scene) -> None:
        with pytest.raises(BmcError, match="certificate"):
            stage.desk.endpoint_of(NODE)

    play(tmp_path, without)


def test_search_without_targets_asks_the_segment_and_those_dhcp_showed(tmp_path: Path) -> None:
    async def scene(stage: Scene) -> None:
        stage.net.said = (Suspect(address=HERE, sign=Sign.SSDP),)
        stage.desk.suspect(Suspect(address=THERE, sign=Sign.DHCP))
        await stage.searched(BmcSearchRequest())
        views = stage.desk.bmcs().bmcs
        assert [(view.url, view.machine, view.login) for view in views] == [
            (f"https://{THERE}", "", LoginState.UNTRIED),
            (f"https://{HERE}", NODE, LoginState.UNTRIED),
        ]
        assert stage.net.asked == [lab_rack().boot_network.address]
        await stage.searched(BmcSearchRequest(targets=(f"{THERE}/32",)))
        assert [view.url for view in stage.desk.bmcs().bmcs] == [f"https://{THERE}"]
        assert len(stage.net.asked) == 1

    play(tmp_path, scene, found=[bmc(), bmc(THERE)])


def test_one_search_at_a_time(tmp_path: Path) -> None:
    async def scene(stage: Scene) -> None:
        stage.net.gate.clear()
        assert stage.desk.search(BmcSearchRequest(targets=(str(HERE),))).searching
        with pytest.raises(ConflictError):
            stage.desk.search(BmcSearchRequest())

    play(tmp_path, scene)


@pytest.mark.parametrize(
    "request_",
    [
        BmcSearchRequest(targets=("bmc-1",)),
        BmcSearchRequest(targets=("10.0.0.0/8",)),
        BmcSearchRequest(targets=("http://10.0.0.1",)),
        BmcSearchRequest(targets=("https://bmc-1.example",)),
        BmcSearchRequest(stated="10.0.0.1 color=red"),
        BmcSearchRequest(ours=("eth0",)),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_sent(tmp_path: Path, request_: BmcSearchRequest) -> None:
    async def scene(stage: Scene) -> None:
        with pytest.raises(UsageError) as caught:
            stage.desk.search(request_)
        assert caught.value.next_action
        assert not stage.desk.bmcs().searching

    play(tmp_path, scene)


def test_left_alone_until_forgiven(tmp_path: Path) -> None:
    async def scene(stage: Scene) -> None:
        url = f"https://{THERE}"
        stage.vault.add(site_wide("wrong"), Entry(scope=VaultScope.MAKE, value="Acme", user="a", password=Secret("no")))
        for _ in range(2):
            await stage.searched(BmcSearchRequest(targets=(url,), login=True))
        (view,) = stage.desk.bmcs().bmcs
        assert "left alone" in view.problem
        assert len(stage.dialler.tried) == 2
        stage.desk.remove_entry(VaultScope.SITE, "", "ops")
        stage.desk.add_entry(site_wide("right"))
        assert (await stage.desk.forgive(url)).login is LoginState.UNTRIED
        assert (await stage.desk.rotate(url)).login is LoginState.WORKS

    play(tmp_path, scene, found=[bmc(THERE)])


def test_bmc_that_does_not_answer_is_not_found(tmp_path: Path) -> None:
    async def scene(stage: Scene) -> None:
        with pytest.raises(NotFoundError, match="no BMC answers"):
            await stage.desk.rotate(f"https://{THERE}")

    play(tmp_path, scene)


def test_factory_defaults_are_added_when_asked(tmp_path: Path) -> None:
    async def scene(stage: Scene) -> None:
        assert not stage.desk.vault().entries
        entries = stage.desk.add_defaults().entries
        assert {entry.scope for entry in entries} == {VaultScope.FACTORY}
        assert "calvin" not in repr(entries)

    play(tmp_path, scene)


def test_sensors_are_read_once_however_many_look(tmp_path: Path) -> None:
    fan = Sensor(name="Fan 1", kind=SensorKind.FAN, reading=5400.0, unit="{rev}/min", health=Health.OK)

    async def scene(stage: Scene) -> None:
        stage.dialler.readings = (fan,)
        first, second = await asyncio.gather(stage.desk.sensors(NODE), stage.desk.sensors(NODE))
        assert first is second
        assert (first.machine, [one.name for one in first.sensors], stage.dialler.read) == (NODE, ["Fan 1"], 1)
        with pytest.raises(NotFoundError):
            await stage.desk.sensors(MachineName("nobody"))

    play(tmp_path, scene, rack("right"))


def test_the_screen_is_asked_for_once_however_many_look(tmp_path: Path) -> None:
    async def scene(stage: Scene) -> None:
        stage.dialler.picture = png()
        seen = await asyncio.gather(*(stage.desk.screen(NODE) for _ in range(3)))
        assert (seen, stage.dialler.read) == ([png()] * 3, 1)
        with pytest.raises(NotFoundError):
            await stage.desk.screen(MachineName("nobody"))

    play(tmp_path, scene, rack("right"))


def test_a_bmc_without_pictures_names_its_own_page(tmp_path: Path) -> None:
    async def scene(stage: Scene) -> None:
        with pytest.raises(NotFoundError, match="gives no picture") as caught:
            await stage.desk.screen(NODE)
        assert caught.value.next_action == f"look at it on the BMC's own page: https://{HERE}/"

    play(tmp_path, scene, rack("right"))


class Credulous(Dialler):
    """Every password is the right one, as far as it goes."""

    def dial(self, endpoint: BmcEndpoint) -> FullBmc:
        self.password = endpoint.password
        return super().dial(endpoint)


@pytest.mark.parametrize(
    ("stranger", "fate"),
    [(Dialler("none"), Fate.HANDED_OVER), (Credulous("any"), Fate.NOT_PROVEN)],
    ids=["dead", "lives"],
)
def test_a_password_that_is_still_taken_is_no_proof(tmp_path: Path, stranger: Dialler, fate: Fate) -> None:
    async def scene(stage: Scene) -> None:
        await stage.desk.rotate(f"https://{HERE}")
        ours = stage.dialler.password.reveal()
        (left,) = await stage.desk.hand_over(stranger)
        assert (left.view.fate, left.view.machine, left.view.user) == (fate, NODE, "root")
        assert left.login is not None
        assert left.login.password == stage.dialler.password != Secret(ours)
        assert stranger.tried == [("root", ours)]

    play(tmp_path, scene, rack("right"))


def test_a_log_in_that_a_person_gave_is_not_changed(tmp_path: Path) -> None:
    async def scene(stage: Scene) -> None:
        stage.desk.add_entry(site_wide("right"))
        await stage.settled(lambda: stage.vault.known(bmc()) is not None)
        (left,) = await stage.desk.hand_over(Dialler("none"))
        assert (left.view.fate, left.login) == (Fate.YOURS, None)
        assert stage.dialler.password.reveal() == "right"

    play(tmp_path, scene)
