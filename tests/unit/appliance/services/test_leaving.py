"""Who may leave a site, and what a reset leaves in files."""

import asyncio
from pathlib import Path

import pytest

from appliance.bmc.dialler import Dialler
from appliance.bmc.discovery import Login
from appliance.bmc.port import BmcDialler
from appliance.errors import ConflictError, UsageError
from appliance.model.leaving_views import Erasure, Fate, LeaveRequest, LeftBmcView, ResetRequest
from appliance.model.secret import Secret
from appliance.services.forgetting import Forgetting
from appliance.services.leaving import Eraser, LeavingDesk, LeftBmc, document
from appliance.setup.helper import Helper
from appliance.store.erasing import erase
from appliance.store.secrets import SecretFile
from appliance.system import SystemClock, SystemRng

CANARY = "kanarie-0451-geheim"
URL = "https://10.0.0.9"


class Bench:
    def __init__(self, busy: str = "") -> None:
        self.left = self.erased = 0
        self.desk = LeavingDesk(
            site="lab",
            hand_over=self._hand_over,
            stranger=lambda: Dialler(SystemClock(), SystemRng()),
            keys=lambda: ("ssh-ed25519 AAAA innervate",),
            busy=lambda: busy,
            eraser=Eraser(erases=Erasure.DISK, begin=self._erase),
            clock=SystemClock(),
            rng=SystemRng(),
            cost=10,
        )

    async def _hand_over(self, _stranger: BmcDialler) -> tuple[LeftBmc, ...]:
        self.left += 1
        return ()

    async def _erase(self) -> None:
        self.erased += 1


@pytest.mark.parametrize(
    ("site", "busy", "error"),
    [("", "", UsageError), ("LAB", "", UsageError), ("lab ", "", UsageError), ("lab", "run-1", ConflictError)],
    ids=["nothing", "shouted", "blank", "run"],
)
def test_only_the_typed_name_of_an_idle_site_counts(site: str, busy: str, error: type[Exception]) -> None:
    bench = Bench(busy)
    with pytest.raises(error):
        asyncio.run(bench.desk.leave(LeaveRequest(site=site, passphrase="long enough a phrase")))
    with pytest.raises(error):
        asyncio.run(bench.desk.reset(ResetRequest(site=site)))
    assert (bench.left, bench.erased) == (0, 0)


def test_a_weak_passphrase_changes_no_bmc() -> None:
    bench = Bench()
    with pytest.raises(UsageError):
        asyncio.run(bench.desk.leave(LeaveRequest(site="lab", passphrase="short")))
    assert bench.left == 0


def test_leaving_erases_nothing_and_names_the_key_that_stays() -> None:
    bench = Bench()
    view = asyncio.run(bench.desk.leave(LeaveRequest(site="lab", passphrase="long enough a phrase")))
    assert (view.keys, bench.left, bench.erased) == (("ssh-ed25519 AAAA innervate",), 1, 0)
    assert asyncio.run(bench.desk.reset(ResetRequest(site="lab"))).erases is Erasure.DISK
    assert bench.erased == 1


def test_the_hand_over_names_what_nobody_else_knows() -> None:
    view = LeftBmcView(url=URL, machine="node-0", user="root", fate=Fate.HANDED_OVER)
    new = LeftBmc(view=view, login=Login(user="root", password=Secret("new")))
    text = document("lab", 1_800_000_000.0, (new, LeftBmc(view=view)))
    assert text.splitlines() == [
        "Log-ins of the BMCs of lab, handed over 2027-01-15T08:00:00+00:00",
        "",
        f"{URL}  root  new  handed-over  node-0",
    ]


def kept(state: Path) -> Path:
    """A state folder with a secret in the clear and in a vault, and a link. The path of the SSH key beside it."""
    (state / "ssh").mkdir(parents=True)
    key = state.parent / "id_ed25519"
    for path in (state / "records.db", state / "ssh" / "key", key, key.with_name("id_ed25519.pub")):
        path.write_text(CANARY * 1000)
    (state / "link").symlink_to(state.parent)
    file = SecretFile(state / "bmc.vault", SystemRng())
    file.save(CANARY.encode())
    file.close()
    return key


def test_a_reset_leaves_no_file_and_no_byte(tmp_path: Path) -> None:
    """Who had the files open still reads them: the bytes are overwritten, not only the names gone."""
    state = tmp_path / "state"
    key = kept(state)
    spies = [path.open("rb") for path in (state / "records.db", state / "bmc.vault.key", key)]
    forgetting = Forgetting(state, key, Helper(tmp_path / "none.sock"))
    forgetting.finish()
    assert key.exists(), "nobody asked for it"

    async def play() -> None:
        stop = asyncio.Event()
        eraser = forgetting.eraser(stop.set)
        assert eraser.erases is Erasure.FOLDER
        await eraser.begin()
        await asyncio.wait_for(stop.wait(), 10)

    asyncio.run(play())
    forgetting.finish()
    assert list(tmp_path.rglob("*")) == [state]
    for spy in spies:
        with spy:
            assert not spy.read().strip(b"\0")


def test_what_a_link_points_at_is_not_ours(tmp_path: Path) -> None:
    other, state = tmp_path / "other", tmp_path / "state"
    state.mkdir()
    other.write_text("theirs")
    (state / "link").symlink_to(other)
    (state / "twin").hardlink_to(other)
    erase(state)
    assert other.read_text() == "theirs"
    assert list(state.iterdir()) == []
