import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import AgentError
from appliance.inventory.dmidecode import Dmi, parse_dmidecode


def structure(kind: int, **fields: str) -> str:
    lines = "".join(f"\t{key.replace('_', ' ')}: {value}\n" for key, value in fields.items())
    return f"Handle 0x0001, DMI type {kind}, 27 bytes\nTitle\n{lines}\n"


def test_nothing_at_all() -> None:
    empty = Dmi(
        uuid=None, serial="", board_serial="", manufacturer="", product="", cpu_model="", cores=0, memory_bytes=0
    )
    assert parse_dmidecode("") == parse_dmidecode("/dev/mem: Permission denied\n") == empty


@pytest.mark.parametrize(
    "uuid",
    [
        "Not Settable",
        "Not Present",
        "00000000-0000-0000-0000-000000000000",
        "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
        "03000200-0400-0500-0006-000700080009",
    ],
)
def test_uuids_that_are_none(uuid: str) -> None:
    assert parse_dmidecode(structure(1, UUID=uuid)).uuid is None


@pytest.mark.parametrize(
    "serial",
    [
        "To be filled by O.E.M.",
        "To Be Filled By O.E.M.",
        "Default string",
        "0123456789",
        "None",
        "",
        "0000000",
        "......",
    ],
)
def test_serials_that_are_none(serial: str) -> None:
    assert parse_dmidecode(structure(1, Serial_Number=serial)).serial == ""


@pytest.mark.parametrize(
    ("size", "expected"),
    [("16384 MB", 16 << 30), ("16 GB", 16 << 30), ("512 kB", 512 << 10), ("No Module Installed", 0), ("Unknown", 0)],
)
def test_memory_sizes_are_binary(size: str, expected: int) -> None:
    assert parse_dmidecode(structure(17, Size=size)).memory_bytes == expected


def test_sockets_add_up_and_empty_ones_do_not() -> None:
    text = structure(4, Status="Populated, Enabled", Core_Count="8", Version="A")
    text += structure(4, Status="Populated, Enabled", Core_Count="8", Version="A") + structure(4, Status="Unpopulated")
    dmi = parse_dmidecode(text)
    assert (dmi.cores, dmi.cpu_model) == (16, "A")


def test_the_first_of_two_systems_counts() -> None:
    assert parse_dmidecode(structure(1, Serial_Number="A") + structure(1, Serial_Number="B")).serial == "A"


@pytest.mark.parametrize("text", [structure(1, UUID="zz"), structure(4, Core_Count="many"), structure(9) * 5000])
def test_nonsense(text: str) -> None:
    with pytest.raises(AgentError):
        parse_dmidecode(text)


@given(st.text(alphabet=st.sampled_from("Handle 0x1,DMI typ bs\n\t:UID-9²"), max_size=300))
def test_total(text: str) -> None:
    try:
        parse_dmidecode(text)
    except AgentError as error:
        assert error.next_action  # noqa: PT017  either outcome is right
