"""The API's other end: what every front-end calls. Synchronous, over the daemon's Unix socket or over TLS."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from appliance.exchange import Exchange
from appliance.model.access_views import (
    AuditVerdictView,
    AuditView,
    AuditWanted,
    MeView,
    PasskeysView,
    PasswordRequest,
    SessionsView,
    SetupRequest,
    SetupView,
    TokenRequest,
    TokensView,
    TokenView,
    TotpRequest,
    TotpView,
    UserChangeRequest,
    UserRequest,
    UsersView,
    UserView,
)
from appliance.model.bmc_views import (
    BmcRequest,
    BmcSearchRequest,
    BmcsView,
    BmcView,
    SensorsView,
    VaultEntryRequest,
    VaultScope,
    VaultView,
)
from appliance.model.cluster_views import ClustersView, ClusterView
from appliance.model.codec import etag_of
from appliance.model.doctor import Check, DoctorRequest, DoctorView
from appliance.model.goal import Consent
from appliance.model.image_views import ImagesView, ImageView
from appliance.model.leaving_views import LeaveRequest, LeaveView, ResetRequest, ResetView
from appliance.model.network_views import AddressState, HistoryView, LeasesView, NetworksView
from appliance.model.report_views import ReportView
from appliance.model.secret import Secret
from appliance.model.set_views import SetImportRequest, SetsView
from appliance.model.site_views import ReloadRequest, SiteView
from appliance.model.upgrade_views import ApplianceView
from appliance.model.views import (
    ApplyRequest,
    ConfirmRequest,
    Errand,
    ErrandRequest,
    EventsView,
    ExplainView,
    GoalsView,
    GoalView,
    HealthView,
    HoldRequest,
    MachinesView,
    MachineView,
    PauseRequest,
    PlanView,
    PowerAction,
    PowerRequest,
    RunMachineRequest,
    RunState,
    RunsView,
    RunView,
    ShellView,
    SnapshotView,
    SummaryView,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from websockets.sync.client import ClientConnection


_LEAVING_SECONDS = 900.0


class Client(Exchange):
    """Every method raises the `InnervateError` that the daemon raised, evidence and next action included.

    `timeout` in seconds is how long an answer may take, beside what `events` was told to wait.
    """

    def health(self) -> HealthView:
        return self._call(HealthView, "GET", "/v1/health")

    def machines(self, wanted: str = "") -> MachinesView:
        """Those that fit the filter `wanted` (`appliance.model.filter`), in one answer."""
        return self._call(MachinesView, "GET", _target("/v1/machines", filter=wanted))

    def machine_pages(self, wanted: str = "", *, size: int = 100) -> Iterator[MachinesView]:
        """The same in pages: a machine that comes or goes meanwhile moves no other."""
        following = None
        while following != "":
            target = _target("/v1/machines", filter=wanted, limit=str(size), cursor=following or "")
            page = self._call(MachinesView, "GET", target)
            yield page
            following = page.next

    def metrics(self) -> str:
        """In OpenMetrics."""
        return self._tell("GET", "/v1/metrics").decode()

    def summary(self, wanted: str = "") -> SummaryView:
        return self._call(SummaryView, "GET", _target("/v1/machines/summary", filter=wanted))

    def report(self, wanted: str = "") -> ReportView:
        """What is handed over, of those machines that fit the filter."""
        return self._call(ReportView, "GET", _target("/v1/report", filter=wanted))

    def machine(self, name: str) -> MachineView:
        return self._call(MachineView, "GET", f"/v1/machines/{_part(name)}")

    def events(
        self, *, after: int = 0, machine: str = "", limit: int = 100, wait: float = 0, kind: str = ""
    ) -> EventsView:
        """`kind` may name several, with stars: `step-*,run-ended`."""
        target = _target("/v1/events", after=str(after), limit=str(limit), wait=str(wait), machine=machine, kind=kind)
        return self._call(EventsView, "GET", target, more_time=wait)

    def latest_events(
        self, *, before: int | None = None, machine: str = "", limit: int = 100, kind: str = ""
    ) -> EventsView:
        """The latest come first; `before` is the number of the last one that was seen."""
        end = "" if before is None else str(before)
        target = _target("/v1/events", order="newest", before=end, limit=str(limit), machine=machine, kind=kind)
        return self._call(EventsView, "GET", target)

    def site(self) -> SiteView:
        return self._call(SiteView, "GET", "/v1/site")

    def reload_site(self, digest: str) -> SiteView:
        return self._call(SiteView, "POST", "/v1/site/reload", ReloadRequest(digest=digest))

    def make_plan(self) -> PlanView:
        return self._call(PlanView, "POST", "/v1/plans")

    def plan(self, digest: str) -> PlanView:
        return self._call(PlanView, "GET", f"/v1/plans/{_part(digest)}")

    def apply(self, digest: str, then: Consent | None = None, despite: tuple[Check, ...] = ()) -> RunView:
        """`then`: how far the daemon goes on by itself when the plan's run is done; None for this plan and no other.
        `despite`: whose failures stop it not."""
        body = ApplyRequest(digest=digest, then=then, despite=despite)
        return self._call(RunView, "POST", f"/v1/plans/{_part(digest)}/apply", body)

    def goals(self, *, every: bool = False) -> GoalsView:
        return self._call(GoalsView, "GET", _target("/v1/goals", all="true" if every else ""))

    def goal(self, goal: str) -> GoalView:
        return self._call(GoalView, "GET", f"/v1/goals/{_part(goal)}")

    def drop(self, goal: str) -> GoalView:
        return self._call(GoalView, "POST", f"/v1/goals/{_part(goal)}/drop")

    def plan_errand(self, name: str, errand: Errand) -> PlanView:
        return self._call(PlanView, "POST", f"/v1/machines/{_part(name)}/plans", ErrandRequest(errand=errand))

    def plan_retirement(self) -> PlanView:
        return self._call(PlanView, "POST", "/v1/site/retirement")

    def explain(self, name: str) -> ExplainView:
        return self._call(ExplainView, "GET", f"/v1/machines/{_part(name)}/explain")

    def runs(self, state: RunState | None = None) -> RunsView:
        return self._call(RunsView, "GET", _target("/v1/runs", state=state.value if state else ""))

    def run_pages(self, state: RunState | None = None, *, size: int = 100) -> Iterator[RunsView]:
        wanted, following = state.value if state else "", None
        while following != "":
            target = _target("/v1/runs", state=wanted, limit=str(size), cursor=following or "")
            page = self._call(RunsView, "GET", target)
            yield page
            following = page.next

    def run(self, run: str) -> RunView:
        return self._call(RunView, "GET", f"/v1/runs/{_part(run)}")

    def pause(self, run: str, reason: str) -> RunView:
        return self._call(RunView, "POST", f"/v1/runs/{_part(run)}/pause", PauseRequest(reason=reason))

    def resume(self, run: str) -> RunView:
        return self._call(RunView, "POST", f"/v1/runs/{_part(run)}/resume")

    def cancel(self, run: str) -> RunView:
        return self._call(RunView, "POST", f"/v1/runs/{_part(run)}/cancel")

    def set_aside(self, run: str, machine: str, reason: str) -> RunView:
        body = RunMachineRequest(machine=machine, reason=reason)
        return self._call(RunView, "POST", f"/v1/runs/{_part(run)}/set-aside", body)

    def retry(self, run: str, machine: str) -> RunView:
        return self._call(RunView, "POST", f"/v1/runs/{_part(run)}/retry", RunMachineRequest(machine=machine))

    def power(self, name: str, action: PowerAction) -> RunView:
        return self._call(RunView, "POST", f"/v1/machines/{_part(name)}/power", PowerRequest(action=action))

    def hold(self, name: str, reason: str) -> MachineView:
        return self._call(MachineView, "PUT", f"/v1/machines/{_part(name)}/hold", HoldRequest(reason=reason))

    def confirm(self, name: str, code: str) -> MachineView:
        """`code` is what the machine's own console shows. Raises `ConflictError` when it is another one."""
        body = ConfirmRequest(code=code)
        return self._call(MachineView, "POST", f"/v1/machines/{_part(name)}/identity", body)

    def release(self, name: str) -> MachineView:
        return self._call(MachineView, "DELETE", f"/v1/machines/{_part(name)}/hold")

    def sensors(self, name: str) -> SensorsView:
        return self._call(SensorsView, "GET", f"/v1/machines/{_part(name)}/sensors")

    def images(self) -> ImagesView:
        return self._call(ImagesView, "GET", "/v1/images")

    def image(self, name: str) -> ImageView:
        return self._call(ImageView, "GET", f"/v1/images/{_part(name)}")

    def sets(self) -> SetsView:
        return self._call(SetsView, "GET", "/v1/sets")

    def import_set(self, folder: str) -> SetsView:
        """Begins it; `sets` shows how far it is. So for the two that follow."""
        return self._call(SetsView, "POST", "/v1/sets", SetImportRequest(folder=folder))

    def check_set(self, name: str) -> SetsView:
        return self._call(SetsView, "POST", f"/v1/sets/{_part(name)}/check")

    def remove_set(self, name: str) -> SetsView:
        return self._call(SetsView, "DELETE", f"/v1/sets/{_part(name)}")

    def clusters(self) -> ClustersView:
        """In one answer."""
        return self._call(ClustersView, "GET", "/v1/clusters")

    def cluster_pages(self, *, size: int = 100) -> Iterator[ClustersView]:
        following = None
        while following != "":
            page = self._call(ClustersView, "GET", _target("/v1/clusters", limit=str(size), cursor=following or ""))
            yield page
            following = page.next

    def cluster(self, name: str) -> ClusterView:
        return self._call(ClusterView, "GET", f"/v1/clusters/{_part(name)}")

    def kubeconfig(self, name: str) -> Secret:
        """Of the cluster's admin, in JSON."""
        return Secret(self._tell("GET", f"/v1/clusters/{_part(name)}/kubeconfig").decode())

    def networks(self) -> NetworksView:
        return self._call(NetworksView, "GET", "/v1/networks")

    def leases(self, network: str = "", state: AddressState | None = None) -> LeasesView:
        """Those of one network, or in one state; in one answer."""
        wanted = state.value if state else ""
        return self._call(LeasesView, "GET", _target("/v1/leases", network=network, state=wanted))

    def lease_pages(
        self, network: str = "", state: AddressState | None = None, *, size: int = 500
    ) -> Iterator[LeasesView]:
        wanted, following = state.value if state else "", None
        while following != "":
            target = _target("/v1/leases", network=network, state=wanted, limit=str(size), cursor=following or "")
            page = self._call(LeasesView, "GET", target)
            yield page
            following = page.next

    def history(self) -> HistoryView:
        return self._call(HistoryView, "GET", "/v1/history")

    def take_over(self) -> MachinesView:
        return self._call(MachinesView, "POST", "/v1/segment/take-over")

    def leave_site(self, request: LeaveRequest) -> LeaveView:
        """BMCs are slow, and each is asked four times."""
        return self._call(LeaveView, "POST", "/v1/site/leave", request, more_time=_LEAVING_SECONDS)

    def reset_appliance(self, site: str) -> ResetView:
        return self._call(ResetView, "POST", "/v1/appliance/reset", ResetRequest(site=site))

    def snapshot(self) -> SnapshotView:
        return self._call(SnapshotView, "POST", "/v1/snapshots")

    def shell(self, name: str) -> ShellView:
        return self._call(ShellView, "GET", f"/v1/machines/{_part(name)}/ssh")

    def search_bmcs(self, request: BmcSearchRequest) -> BmcsView:
        return self._call(BmcsView, "POST", "/v1/bmcs/search", request)

    def bmcs(self) -> BmcsView:
        return self._call(BmcsView, "GET", "/v1/bmcs")

    def rotate_bmc(self, url: str) -> BmcView:
        return self._call(BmcView, "POST", "/v1/bmcs/rotate", BmcRequest(url=url))

    def forgive_bmc(self, url: str) -> BmcView:
        return self._call(BmcView, "POST", "/v1/bmcs/forgive", BmcRequest(url=url))

    def forget_bmc(self, url: str) -> BmcView:
        return self._call(BmcView, "POST", "/v1/bmcs/forget", BmcRequest(url=url))

    def start_doctor(self, request: DoctorRequest | None = None) -> DoctorView:
        return self._call(DoctorView, "POST", "/v1/doctor", request or DoctorRequest())

    def doctor(self, *, seen: int = -1, wait: float = 0) -> DoctorView:
        """The last examination; of `seen` as version, another one is waited for."""
        target = _target("/v1/doctor", seen=str(seen), wait=str(wait))
        return self._call(DoctorView, "GET", target, more_time=wait)

    def appliance(self) -> ApplianceView:
        return self._call(ApplianceView, "GET", "/v1/appliance")

    def upgrade(self, bundle: Path) -> ApplianceView:
        """Sends the file; the answer says that it is sound, and that it is being written."""
        return self._send(ApplianceView, "PUT", "/v1/appliance/bundle", bundle)

    def rollback(self) -> ApplianceView:
        return self._call(ApplianceView, "POST", "/v1/appliance/rollback")

    def support_bundle(self) -> bytes:
        """A ZIP."""
        return self._tell("GET", "/v1/support-bundle")

    def vault(self) -> VaultView:
        return self._call(VaultView, "GET", "/v1/vault")

    def add_to_vault(self, entry: VaultEntryRequest) -> VaultView:
        return self._call(VaultView, "PUT", "/v1/vault/entries", entry)

    def add_factory_defaults(self) -> VaultView:
        return self._call(VaultView, "POST", "/v1/vault/defaults")

    def remove_from_vault(self, scope: VaultScope, value: str, user: str) -> VaultView:
        query = urlencode({"scope": scope.value, "value": value, "user": user})
        return self._call(VaultView, "DELETE", f"/v1/vault/entries?{query}")

    def setup(self) -> SetupView:
        """With the code, where this client comes by the Unix socket."""
        return self._call(SetupView, "GET", "/v1/setup")

    def set_up(self, request: SetupRequest) -> UserView:
        return self._call(UserView, "POST", "/v1/setup", request)

    def me(self) -> MeView:
        return self._call(MeView, "GET", "/v1/me")

    def users(self) -> UsersView:
        return self._call(UsersView, "GET", "/v1/users")

    def user(self, name: str) -> UserView:
        return self._call(UserView, "GET", f"/v1/users/{_part(name)}")

    def add_user(self, request: UserRequest) -> UserView:
        return self._call(UserView, "POST", "/v1/users", request)

    def change_user(self, seen: UserView, change: UserChangeRequest) -> UserView:
        """`StaleError` where the account is no longer what was `seen`; so for `remove_user`."""
        return self._call(UserView, "PATCH", f"/v1/users/{_part(seen.name)}", change, headers=_if_match(seen))

    def remove_user(self, seen: UserView) -> None:
        self._tell("DELETE", f"/v1/users/{_part(seen.name)}", headers=_if_match(seen))

    def set_password(self, name: str, request: PasswordRequest) -> UserView:
        return self._call(UserView, "PUT", f"/v1/users/{_part(name)}/password", request)

    def offer_totp(self, name: str) -> TotpView:
        return self._call(TotpView, "POST", f"/v1/users/{_part(name)}/totp")

    def confirm_totp(self, name: str, code: str) -> UserView:
        return self._call(UserView, "POST", f"/v1/users/{_part(name)}/totp/confirm", TotpRequest(code=code))

    def remove_totp(self, name: str) -> UserView:
        return self._call(UserView, "DELETE", f"/v1/users/{_part(name)}/totp")

    def passkeys(self, name: str) -> PasskeysView:
        """They are added in a browser only."""
        return self._call(PasskeysView, "GET", f"/v1/users/{_part(name)}/passkeys")

    def remove_passkey(self, name: str, passkey: str) -> None:
        self._tell("DELETE", f"/v1/users/{_part(name)}/passkeys/{_part(passkey)}")

    def sessions(self) -> SessionsView:
        return self._call(SessionsView, "GET", "/v1/sessions")

    def end_session(self, session: str) -> None:
        self._tell("DELETE", f"/v1/sessions/{_part(session)}")

    def tokens(self) -> TokensView:
        return self._call(TokensView, "GET", "/v1/tokens")

    def make_token(self, request: TokenRequest) -> TokenView:
        return self._call(TokenView, "POST", "/v1/tokens", request)

    def revoke_token(self, token: str) -> None:
        self._tell("DELETE", f"/v1/tokens/{_part(token)}")

    def audit(
        self,
        *,
        after: int = 0,
        limit: int = 100,
        wait: float = 0,
        wanted: AuditWanted = AuditWanted(),  # noqa: B008  frozen
    ) -> AuditView:
        """Where none of the lines that were looked at is wanted, `last` still goes on."""
        outcome = wanted.outcome.value if wanted.outcome else ""
        query = {"after": str(after), "limit": str(limit), "wait": str(wait)}
        target = _target("/v1/audit", **query, who=wanted.who, what=wanted.what, outcome=outcome)
        return self._call(AuditView, "GET", target, more_time=wait)

    def verify_audit(self) -> AuditVerdictView:
        return self._call(AuditVerdictView, "GET", "/v1/audit/verify")

    def screen(self, name: str) -> bytes:
        """A PNG of what the machine's screen shows."""
        return self._tell("GET", f"/v1/machines/{_part(name)}/screen")

    def recorded(self, name: str) -> bytes:
        """What the machine's serial console said, as far as it is kept."""
        return self._tell("GET", f"/v1/machines/{_part(name)}/console")

    def console(self, name: str) -> "AbstractContextManager[ClientConnection]":
        """Binary messages to and from the machine's serial console, without end."""
        return self._joined(f"/v1/machines/{_part(name)}/console")

    def tunnel(self, name: str) -> "AbstractContextManager[ClientConnection]":
        """Binary messages to and from the machine's SSH port; iterate over it until the machine hangs up."""
        return self._joined(f"/v1/machines/{_part(name)}/tunnel")


def _target(path: str, **query: str) -> str:
    """Without what is empty."""
    given = urlencode({name: value for name, value in query.items() if value})
    return f"{path}?{given}" if given else path


def _if_match(seen: object) -> dict[str, str]:
    return {"If-Match": etag_of(seen)}


def _part(text: str) -> str:
    return quote(text, safe="")
