from appliance.bmc.pace import Pace


def test_gap_grows_with_trouble_up_to_a_bound_and_shrinks_back_to_the_floor() -> None:
    pace = Pace.of(0.2)
    gaps = []
    for _ in range(6):
        pace = pace.overrun()
        gaps.append(pace.gap)
    assert gaps == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
    for _ in range(6):
        pace = pace.content()
    assert pace == Pace.of(0.2)


def test_rest_is_what_is_left_of_the_gap() -> None:
    pace = Pace.of(2.0)
    assert [pace.wait(since) for since in (0.0, 1.5, 2.0, float("inf"))] == [2.0, 0.5, 0.0, 0.0]


def test_whole_operation_fits_in_after_the_worst() -> None:
    pace, waited = Pace.of(0.0), 0.0
    for _ in range(20):
        pace = pace.overrun()
    for _ in range(12):
        waited += pace.wait(0.0)
        pace = pace.content()
    assert waited < 10.0
