"""The table of phases is consistent with itself."""

from appliance.model.phase import PHASES, Phase


def test_every_phase_has_a_rule() -> None:
    assert set(PHASES) == set(Phase)
    assert all(rule.entry and rule.evidence for rule in PHASES.values())


def test_no_phase_leads_to_itself() -> None:
    assert not [phase for phase, rule in PHASES.items() if phase in rule.exits]


def test_every_phase_is_reached_and_left() -> None:
    reached = {Phase.UNKNOWN}
    while further := {to for phase in reached for to in PHASES[phase].exits} - reached:
        reached |= further
    assert reached == set(Phase)
    assert all(rule.exits for rule in PHASES.values())


def test_what_moves_has_a_budget_and_what_rests_has_none() -> None:
    resting = {phase for phase, rule in PHASES.items() if rule.budget is None}
    assert resting == {Phase.UNKNOWN, Phase.AVAILABLE, Phase.ACTIVE, Phase.RESCUE, Phase.RETIRED}


def test_any_known_machine_can_be_enrolled_again() -> None:
    assert all(Phase.ENROLLING in rule.exits for phase, rule in PHASES.items() if phase is not Phase.ENROLLING)


def test_a_machine_is_active_only_after_it_was_configured() -> None:
    assert [phase for phase, rule in PHASES.items() if Phase.ACTIVE in rule.exits] == [Phase.CONFIGURING]
