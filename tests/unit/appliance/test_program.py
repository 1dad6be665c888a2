"""What a site program shows of itself: no secret, wherever it stands, and line for line what differs."""

import sys
from dataclasses import replace

import pytest

from appliance import program
from appliance.model.ids import MachineName, StepId
from appliance.plan import Inspect, Plan, Retire, Step

HEAD = "from appliance.model.secret import Secret\n"


@pytest.mark.parametrize(
    "line",
    [
        'password = Secret("hunter2!")',
        "password = 'hunter2!'",
        'bmc = BmcEndpoint(url="https://10.0.0.1", user="root", password=Secret("hunter2!"))',
        'bmc = dict(user="root", bmc_password="hunter2!")',
        'settings = {"api_token": "hunter2!", "user": "root"}',
        'PW = "hunter2!"\nbmc = Secret(PW)',
        'PW = "hunter2!"\nOTHER = PW\nbmc = Secret(OTHER)',
        'PW = {"a": "hunter2!"}\nbmc = Secret(PW["a"])',
        'for each in ("hunter2!", "x"):\n    Secret(each)',
        'def bmc(url, password="hunter2!"):\n    return url',
        'def bmc(*, secret="hunter2!"):\n    return secret',
        'if (PW := "hunter2!"):\n    Secret(PW)',
        'class Bmc:\n    password: str = "hunter2!"',
        'bmc.password = "hunter2!"',
        'settings["private_key"] = "hunter2!"',
        'password = b"hunter2!"',
        'password = f"hunter2!{1}"',
        'password = f"x{"hunter2!" if 1 else 0!r}y"' if sys.version_info >= (3, 12) else 'password = f"hunter2!"',
        "password = f\"x{'hunter2!'}y{'hunter2!' + 'z'}\"",
        'password = "hunt" "er2!"\nx = "hunter2!"',
        'password = """hunter2!\nhunter2!"""',
        'url = "https://root:hunter2!@10.0.0.1/"',
        'password = "hunter2!"  # it was hunter2! before, too',
        'password = "hunter2!"\nnote = "never hunter2! again"',
        'password = (\n    # here\n    "hunter2!"\n)',
        'snmp = agent(community="hunter2!")',
        'password = "hunter2!".strip()',
        'password = Secret(value="hunter2!")',
        'é = "é"; password = "hunter2!"',
    ],
)
def test_secrets_are_masked_and_lines_stay(line: str) -> None:
    text = f"{HEAD}{line}\nlast = 1\n"
    masked = program.read(text).masked
    assert "hunter2" not in masked
    assert "er2!" not in masked
    assert masked.count("\n") == text.count("\n")
    assert masked.splitlines()[-1] == "last = 1"


def test_what_is_no_secret_is_shown() -> None:
    text = 'site = Site(name="lab", keys=("ssh-ed25519 AAAA ann@x",), user="root")\npassword = read("/run/pw")\n'
    masked = program.read(text).masked
    assert masked.splitlines()[0] == text.splitlines()[0]


@pytest.mark.parametrize(
    "line",
    ['password = Secret("hunter2!"', 'password = "hunter2!', 'x = """hunter2!', "pw = 'hunter2!' +", 'if x "hunter2!"'],
)
def test_a_program_that_cannot_be_parsed_shows_no_text_that_is_new(line: str) -> None:
    running = program.read(f'{HEAD}name = "lab"\npassword = "old one!"\n')
    masked = program.read(f'name = "lab"\n{line}\n# old one!\n', running).masked
    assert "hunter2" not in masked
    assert "old one" not in masked
    assert masked.splitlines()[0] == 'name = "lab"'


def test_the_secrets_of_the_one_that_runs_are_secrets_on_disk() -> None:
    running = program.read('password = "hunter2!"\n')
    assert "hunter2" not in program.read('note = "hunter2!"\n', running).masked


def test_the_difference_shows_no_secret() -> None:
    before = program.read('name = "lab"\npassword = "hunter2!"\n')
    after = program.read('name = "lab2"\npassword = "swordfish"\n', before)
    shown = program.diff(before, after, "site.py")
    assert shown.splitlines()[:2] == ["--- site.py (runs)", "+++ site.py (on disk)"]
    assert '-name = "lab"' in shown
    assert '+name = "lab2"' in shown
    assert "hunter2" not in shown
    assert "swordfish" not in shown
    only = program.read('name = "lab"\npassword = "swordfish"\n', before)
    assert program.diff(before, only, "site.py") == ""


def _step(name: str, machine: str, summary: str = "inspect") -> Step:
    return Step(
        id=StepId(name), machine=MachineName(machine), score="discover", summary=summary, do=Inspect(), budget=1.0
    )


def test_plans_are_held_against_each_other() -> None:
    running = Plan(site="lab", steps=(_step("a", "node-1"), _step("b", "node-2"), _step("c", "node-3")))
    disk = Plan(
        site="lab",
        steps=(_step("a", "node-1"), replace(_step("c", "node-3", "retire"), do=Retire()), _step("d", "node-2")),
    )
    assert [(one.change, one.machine, one.kind, one.summary, one.before) for one in program.changes(running, disk)] == [
        ("removed", "node-2", "read", "inspect", ""),
        ("added", "node-2", "read", "inspect", ""),
        ("changed", "node-3", "idempotent", "retire", "inspect"),
    ]
    assert program.changes(disk, disk) == ()
