"""What the command prints: one object for machines, a few lines for people, and how to see a violation again."""

import json
import logging
from pathlib import Path

import pytest

from appliance.sim.__main__ import json_of, main, text_of
from appliance.sim.chance import Chance
from appliance.sim.faults import HABITS, Faults, MachineFault, draw
from appliance.sim.run import Report
from appliance.sim.trace import Event
from appliance.sim.violations import Invariant, Violation

KEYS = {
    "machines",
    "active",
    "virtual_minutes",
    "cpu_seconds_per_machine",
    "max_rss_mb",
    "violations",
    "event_hash",
    "seed",
    "events",
    "quarantined",
    "faults",
}
BROKEN = Report(
    machines=4,
    active=3,
    virtual_minutes=12.5,
    cpu_seconds_per_machine=0.1,
    max_rss_mb=90.0,
    event_hash="ab" * 32,
    seed=9,
    events=100,
    quarantined=0,
    violations=(
        Violation(
            invariant=Invariant.I2,
            seed=9,
            time=1.5,
            machine="node-0001",
            seen="an ACK too early",
            latest=(Event(time=1.0, kind="power", machine="node-0001", text="on"),),
        ),
    ),
)


def test_json_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "sim.json"
    assert main(["--machines", "2", "--seed", "4", "--faults", "none", "--json", str(file)]) == 0
    report = json.loads(file.read_text())
    assert set(report) == KEYS
    assert (report["machines"], report["active"], report["seed"], report["violations"]) == (2, 2, 4, 0)
    assert not capsys.readouterr().out


def test_json_to_standard_output_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--machines", "1", "--seed", "4", "--faults", "none", "--json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert len(json.loads(out)["event_hash"]) == 64


def test_people_read_a_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--machines", "2", "--seed", "4", "--faults", "none"]) == 0
    assert capsys.readouterr().out.startswith("2 of 2 machines active after ")


def test_a_violation_says_how_to_see_it_again() -> None:
    text = text_of(BROKEN, "all")
    assert "I2: a lease is on disk before it is acknowledged" in text
    assert "seed 9, second 1.500, node-0001: an ACK too early" in text
    assert "power" in text
    assert text.endswith("again: ./run sim --machines 4 --seed 9 --faults all\n")
    assert json.loads(json_of(BROKEN))["violations"] == 1


def test_a_seed_draws_its_scenario_and_none_draws_nothing() -> None:
    assert draw(Chance(5), 6, Faults.ALL) == draw(Chance(5), 6, Faults.ALL)
    assert draw(Chance(5), 6, Faults.ALL) != draw(Chance(6), 6, Faults.ALL)
    calm = draw(Chance(5), 6, Faults.NONE)
    assert {character.fault for character in calm.characters.values()} == {MachineFault.NONE}
    assert (calm.faults, calm.deaths, calm.last_planned()) == ((), (), 0.0)


def test_another_machine_more_does_not_change_the_first_ones() -> None:
    small, large = draw(Chance(5), 3, Faults.ALL), draw(Chance(5), 9, Faults.ALL)
    assert all(large.characters[number] == character for number, character in small.characters.items())


def test_every_fault_of_a_machine_has_its_row() -> None:
    assert set(HABITS) == set(MachineFault)


def test_what_others_log_is_logged_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    main(["--machines", "1", "--seed", "4", "--faults", "none"])
    logging.getLogger("appliance.daemon").warning("the disk is full")
    assert caplog.messages == ["the disk is full"]
