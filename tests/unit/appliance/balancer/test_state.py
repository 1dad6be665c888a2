"""haproxy's table of servers, as 2.6 and 3.0 print it."""

import pytest

from appliance.balancer.state import read_states
from appliance.errors import MachineryError

COLUMNS = "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_port"


def table(*rows: str) -> str:
    return "\n".join(("1", COLUMNS, *rows, ""))


@pytest.mark.parametrize(
    ("operational", "administered", "well", "out"),
    [(2, 0, True, False), (0, 0, False, False), (1, 0, False, False), (2, 8, True, True), (0, 1, False, True)],
    ids=["up", "down", "starting", "drained", "in maintenance"],
)
def test_one_server(operational: int, administered: int, well: bool, out: bool) -> None:
    (state,) = read_states(table(f"4 api 1 node-0 10.77.0.20 {operational} {administered} 1 1 6443"))
    assert (state.listener, state.backend, str(state.address), state.port) == ("api", "node-0", "10.77.0.20", 6443)
    assert (state.well, state.out, state.serves) == (well, out, well and not out)


def test_no_servers() -> None:
    assert read_states(table()) == ()


@pytest.mark.parametrize("text", ["", "2\n# x", "Unknown command", table("4 api"), table("4 api 1 a x 2 0 1 1 6443")])
def test_what_nobody_understands(text: str) -> None:
    with pytest.raises(MachineryError):
        read_states(text)
