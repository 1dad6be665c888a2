"""Whose TPM is shown, and what of it has changed."""

import pytest

from appliance.errors import SiteError
from appliance.model.ids import MachineName
from appliance.model.tpm import Endorsed, check_endorsement_key, moved

NODE, OTHER = MachineName("node-0"), MachineName("node-1")
OURS, THEIRS, NEW = "a" * 64, "b" * 64, "c" * 64
PCRS = tuple(f"{number}" * 64 for number in range(8))


@pytest.mark.parametrize(
    ("stated", "proven", "ek", "why"),
    [
        pytest.param({}, {}, OURS, "", id="the first time"),
        pytest.param({}, {NODE: OURS}, OURS, "", id="the same again"),
        pytest.param({}, {NODE: OURS}, NEW, "another than the one that it proved itself with", id="another"),
        pytest.param({}, {OTHER: THEIRS}, THEIRS, "the TPM of node-1", id="another machine's"),
        pytest.param({OTHER: {THEIRS}}, {}, THEIRS, "the TPM of node-1", id="one that is stated for another machine"),
        pytest.param({NODE: {OURS}}, {}, OURS, "", id="as stated"),
        pytest.param({NODE: {OURS, NEW}}, {NODE: OURS}, NEW, "", id="replaced, and stated"),
        pytest.param({NODE: {OURS}}, {}, NEW, "none that the site program names", id="not as stated"),
        pytest.param({NODE: {NEW}}, {NODE: OURS}, OURS, "none that the site program names", id="the old one"),
        pytest.param({OTHER: {NEW}}, {OTHER: THEIRS}, THEIRS, "", id="moved here, and the other has a new one"),
    ],
)
def test_contradictions(stated: dict[MachineName, set[str]], proven: dict[MachineName, str], ek: str, why: str) -> None:
    known = Endorsed(stated={name: frozenset(keys) for name, keys in stated.items()}, proven=proven)
    said = known.contradiction(NODE, ek)
    assert why in said
    assert bool(said) is bool(why)


@pytest.mark.parametrize(
    ("before", "now", "which"),
    [
        (PCRS, PCRS, ()),
        (PCRS, ("f" * 64, *PCRS[1:]), (0,)),
        (PCRS, (*PCRS[:7], "f" * 64), (7,)),
        (PCRS, ("f" * 64, *PCRS[1:7], "f" * 64), (0, 7)),
        (PCRS, (PCRS[0], *("f" * 64,) * 6, PCRS[7]), ()),
        ((), PCRS, ()),
        (PCRS, (), ()),
    ],
    ids=["same", "firmware", "secure-boot", "both", "what follows boot order", "never before", "not now"],
)
def test_what_moved(before: tuple[str, ...], now: tuple[str, ...], which: tuple[int, ...]) -> None:
    assert moved(before, now) == which


@pytest.mark.parametrize("text", ["", "a" * 63, "A" * 64, "g" * 64, "sha256:" + "a" * 64])
def test_what_is_no_hash_is_refused(text: str) -> None:
    with pytest.raises(SiteError, match="stated by its SHA-256"):
        check_endorsement_key(NODE, text)
    check_endorsement_key(NODE, OURS)
