import pytest

from appliance.access.totp import base32, code_at, step_of, uri

SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("now", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_the_vectors_of_rfc_6238(now: int, code: str) -> None:
    """Appendix B, SHA-1, the last six of its eight digits."""
    assert code_at(SECRET, now // 30) == code
    assert step_of(SECRET, code, now, 0) == now // 30


def test_a_clock_may_be_one_step_wrong() -> None:
    codes = {offset: code_at(SECRET, 1000 + offset) for offset in (-2, -1, 0, 1, 2)}
    found = {offset: step_of(SECRET, code, 1000 * 30 + 29, 0) for offset, code in codes.items()}
    assert found == {-2: None, -1: 999, 0: 1000, 1: 1001, 2: None}


def test_no_code_counts_twice_nor_one_from_before() -> None:
    assert step_of(SECRET, code_at(SECRET, 1000), 30000, 1000) is None
    assert step_of(SECRET, code_at(SECRET, 999), 30000, 1000) is None
    assert step_of(SECRET, code_at(SECRET, 1001), 30000, 1000) == 1001


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "٠٠٥٩٢٤"])
def test_nonsense_is_no_code(code: str) -> None:
    assert step_of(SECRET, code, 1234567890, 0) is None


def test_what_authenticators_read() -> None:
    assert base32(SECRET) == "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert uri(SECRET, "rack 1", "ann") == (
        "otpauth://totp/rack%201:ann?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=rack%201"
    )
