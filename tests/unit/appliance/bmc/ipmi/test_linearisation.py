import pytest

from appliance.bmc.ipmi.sensors import SensorRecord, sensor
from appliance.model.bmc import SensorKind


@pytest.mark.parametrize(
    ("linearisation", "raw", "reading"),
    [
        (0, 9, 9.0),
        (1, 1, 0.0),
        (2, 100, 2.0),
        (3, 8, 3.0),
        (4, 0, 1.0),
        (5, 2, 100.0),
        (6, 3, 8.0),
        (7, 4, 0.25),
        (8, 9, 81.0),
        (9, 3, 27.0),
        (10, 81, 9.0),
        (11, 27, 3.0),
        (1, 0, None),
        (7, 0, None),
    ],
)
def test_linearisation(linearisation: int, raw: int, reading: float | None) -> None:
    """IPMI 2.0 section 36.3; a value that the formula does not have is no reading."""
    record = SensorRecord(
        number=1,
        lun=0,
        name="fan",
        kind=SensorKind.FAN,
        unit="{rev}/min",
        signed=0,
        m=1,
        b=0,
        b_exponent=0,
        exponent=0,
        linearisation=linearisation,
    )
    assert sensor(record, bytes((raw, 0xC0, 0))).reading == reading
