import pytest

from appliance.errors import UsageError
from appliance.model.filter import Filter, parse
from appliance.model.network_views import AddressState, LeaseView
from appliance.model.paging import (
    LeasesQuery,
    MachinesQuery,
    RunsQuery,
    cursor,
    last_of,
    leases_page,
    machines_page,
    name_order,
    runs_page,
)
from appliance.model.phase import Phase
from appliance.model.views import MachineView, RunState


def test_names_are_in_the_order_in_which_people_count() -> None:
    names = ["node-10", "node-2", "a1b10", "a1b9", "node", "10", "9", "x01", "x1"]
    assert sorted(names, key=name_order) == ["9", "10", "a1b9", "a1b10", "node", "node-2", "node-10", "x01", "x1"]
    assert len({name_order(name) for name in names}) == len(names)


@pytest.mark.parametrize("text", ["", "!", "ä", "_w", "/v8="])
def test_foreign_cursors(text: str) -> None:
    with pytest.raises(UsageError):
        last_of(text)


def test_cursors() -> None:
    assert [last_of(cursor(name)) for name in ("a", "ab", "node-17")] == ["a", "ab", "node-17"]


def view_of(name: str) -> MachineView:
    return MachineView(name=name, phase=Phase.ACTIVE, since=0.0)


def pages(names: list[str], limit: int, wanted: Filter) -> list[list[str]]:
    found: list[list[str]] = []
    after = ""
    while not found or after:
        page, following = machines_page(names, view_of, view_of, MachinesQuery(wanted=wanted, after=after, limit=limit))
        found.append([view.name for view in page])
        after = last_of(following) if following else ""
    return found


@pytest.mark.parametrize(
    ("limit", "wanted", "expected"),
    [
        (2, "", [["n-1", "n-2"], ["n-3", "n-10"], ["n-11"]]),
        (5, "", [["n-1", "n-2", "n-3", "n-10", "n-11"]]),
        (9, "", [["n-1", "n-2", "n-3", "n-10", "n-11"]]),
        (1, "n-1", [["n-1"], ["n-10"], ["n-11"]]),
        (1, "none", [[]]),
    ],
)
def test_pages_of_machines(limit: int, wanted: str, expected: list[list[str]]) -> None:
    assert pages(["n-10", "n-1", "n-3", "n-11", "n-2"], limit, parse(wanted)) == expected


def test_a_page_goes_on_where_its_last_machine_is_gone() -> None:
    page, following = machines_page(["n-1", "n-3"], view_of, view_of, MachinesQuery(after="n-2"))
    assert ([view.name for view in page], following) == (["n-3"], "")


RUNS = [("r4", RunState.RUNNING), ("r3", RunState.DONE), ("r2", RunState.RUNNING), ("r1", RunState.DONE)]


@pytest.mark.parametrize(
    ("query", "ids", "following"),
    [
        (RunsQuery(), ["r4", "r3", "r2", "r1"], ""),
        (RunsQuery(limit=2), ["r4", "r3"], "r3"),
        (RunsQuery(limit=2, after="r3"), ["r2", "r1"], ""),
        (RunsQuery(limit=1, state=RunState.DONE), ["r3"], "r3"),
        (RunsQuery(limit=1, state=RunState.DONE, after="r3"), ["r1"], ""),
        (RunsQuery(state=RunState.FAILED), [], ""),
    ],
)
def test_pages_of_runs(query: RunsQuery, ids: list[str], following: str) -> None:
    page, text = runs_page(RUNS, lambda run: run, query)
    assert ([name for name, _ in page], last_of(text) if text else "") == (ids, following)


def test_a_page_behind_a_run_that_is_not_there() -> None:
    with pytest.raises(UsageError):
        runs_page(RUNS, lambda run: run, RunsQuery(after="r9"))


def test_a_page_renders_what_it_shows_and_looks_at_one_more() -> None:
    seen: list[str] = []

    def noted(name: str) -> MachineView:
        seen.append(name)
        return view_of(name)

    names = [f"n-{number}" for number in range(1000)]
    machines_page(names, noted, view_of, MachinesQuery(wanted=parse("n-"), after="n-499", limit=10))
    assert seen == [f"n-{number}" for number in range(500, 511)]
    seen.clear()
    machines_page(names, view_of, noted, MachinesQuery(wanted=parse("n-"), after="n-499", limit=10))
    assert seen == [f"n-{number}" for number in range(500, 510)]


LEASES = tuple(
    LeaseView(address=address, network=network, state=state, mac="02:00:00:00:00:01")
    for address, network, state in (
        ("10.0.0.9", "10.0.0.0/24", AddressState.BOUND),
        ("10.0.0.10", "10.0.0.0/24", AddressState.DECLINED),
        ("10.0.1.1", "10.0.1.0/24", AddressState.BOUND),
    )
)


@pytest.mark.parametrize(
    ("query", "addresses", "total", "following"),
    [
        (LeasesQuery(), ["10.0.0.9", "10.0.0.10", "10.0.1.1"], 3, ""),
        (LeasesQuery(limit=2), ["10.0.0.9", "10.0.0.10"], 3, "10.0.0.10"),
        (LeasesQuery(limit=2, after="10.0.0.10"), ["10.0.1.1"], 3, ""),
        (LeasesQuery(after="10.0.0.200"), ["10.0.1.1"], 3, ""),
        (LeasesQuery(state=AddressState.BOUND, limit=1), ["10.0.0.9"], 2, "10.0.0.9"),
        (LeasesQuery(network="10.0.1.0/24"), ["10.0.1.1"], 1, ""),
        (LeasesQuery(network="10.9.0.0/24"), [], 0, ""),
    ],
)
def test_pages_of_leases(query: LeasesQuery, addresses: list[str], total: int, following: str) -> None:
    view = leases_page(LEASES, query)
    assert ([one.address for one in view.leases], view.total) == (addresses, total)
    assert (last_of(view.next) if view.next else "") == following


def test_a_page_behind_no_address() -> None:
    with pytest.raises(UsageError):
        leases_page(LEASES, LeasesQuery(after="node-1"))
