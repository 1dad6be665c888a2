"""Long lists in pages. A page ends with a cursor: where the next one begins, whatever has come or gone meanwhile."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from itertools import groupby, islice
from typing import TypeVar

from appliance.errors import UsageError
from appliance.model.cluster_views import ClustersView, ClusterView
from appliance.model.filter import Filter
from appliance.model.network_views import AddressState, LeasesView, LeaseView
from appliance.model.views import MachineView, RunState

T = TypeVar("T")
N = TypeVar("N", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinesQuery:
    """Machines in the order of their names, from behind `after` on; `limit` None for all."""

    wanted: Filter = field(default_factory=Filter)
    after: str = ""
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsQuery:
    """Runs, latest first, from behind the one called `after` on; `state` and `limit` None for all."""

    state: RunState | None = None
    after: str = ""
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasesQuery:
    """Addresses in their order, from behind `after` on; `network` "", `state` and `limit` None for all."""

    network: str = ""
    state: AddressState | None = None
    after: str = ""
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClustersQuery:
    """Clusters in the order of their names, from behind `after` on; `limit` None for all."""

    after: str = ""
    limit: int | None = None


EVERY_CLUSTER = ClustersQuery()
EVERY_MACHINE = MachinesQuery()
EVERY_RUN = RunsQuery()
EVERY_LEASE = LeasesQuery()


def name_order(name: str) -> tuple[tuple[bool, int, str], ...]:
    """As people count: node-2 before node-10."""
    parts = ("".join(part) for _, part in groupby(name, str.isdecimal))
    return tuple((False, int(part), part) if part.isdecimal() else (True, 0, part) for part in parts)


def machines_page(
    names: Iterable[N],
    card_of: Callable[[N], MachineView],
    view_of: Callable[[N], MachineView],
    query: MachinesQuery,
) -> tuple[tuple[MachineView, ...], str]:
    """The machines, and the cursor of the next page, "" when there is none.

    Fields that a filter asks for are in `card_of`; only what is shown is made by `view_of`.
    """
    start, wanted = name_order(query.after), query.wanted
    behind = sorted((order, name) for name in names if (order := name_order(name)) > start or not query.after)
    fitting = (name for _, name in behind if not wanted.terms or wanted.fits(card_of(name)))
    page = tuple(islice(fitting, query.limit))
    more = query.limit is not None and next(fitting, None) is not None
    return tuple(map(view_of, page)), cursor(page[-1]) if more else ""


def runs_page(
    runs: Sequence[T], key: Callable[[T], tuple[str, RunState]], query: RunsQuery
) -> tuple[tuple[T, ...], str]:
    """`runs` latest first; `key` names a run and its state. Raises `UsageError` when `after` is none of them."""
    ids = [key(run)[0] for run in runs]
    if query.after and query.after not in ids:
        raise no_cursor()
    start = ids.index(query.after) + 1 if query.after else 0
    found = [run for run in runs[start:] if query.state in (None, key(run)[1])]
    page = tuple(found[: query.limit])
    return page, cursor(key(page[-1])[0]) if page and len(page) < len(found) else ""


def leases_page(leases: Iterable[LeaseView], query: LeasesQuery) -> LeasesView:
    """`leases` in the order of their addresses. Raises `UsageError` when `after` is no address."""
    fitting = [one for one in leases if query.network in ("", one.network) and query.state in (None, one.state)]
    start = bisect_right(fitting, _address(query.after), key=lambda one: IPv4Address(one.address)) if query.after else 0
    page = tuple(fitting[start:] if query.limit is None else fitting[start : start + query.limit])
    more = bool(page) and start + len(page) < len(fitting)
    return LeasesView(leases=page, total=len(fitting), next=cursor(page[-1].address) if more else "")


def clusters_page(names: Iterable[N], view_of: Callable[[N], ClusterView], query: ClustersQuery) -> ClustersView:
    start = name_order(query.after)
    behind = [name for name in sorted(names, key=name_order) if not query.after or name_order(name) > start]
    page = behind if query.limit is None else behind[: query.limit]
    more = bool(page) and len(page) < len(behind)
    return ClustersView(clusters=tuple(map(view_of, page)), next=cursor(page[-1]) if more else "")


def _address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise no_cursor() from None


def cursor(last: str) -> str:
    return urlsafe_b64encode(last.encode()).decode().rstrip("=")


def last_of(text: str) -> str:
    """What `cursor` was made of. Raises `UsageError`."""
    try:
        last = urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)).decode()
    except ValueError:
        raise no_cursor() from None
    if not last:
        raise no_cursor()
    return last


def no_cursor() -> UsageError:
    return UsageError("this is no cursor of ours", next_action="take the `next` of the page before, or leave it out")
