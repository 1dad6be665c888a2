from starlette.exceptions import HTTPException

from appliance.api.problems import STATUSES, problem
from appliance.errors import AbsentError, BmcError, InnervateError, LateError
from appliance.exchange import KINDS
from appliance.model.views import ProblemView

ONLY_IN_FRONT_ENDS = {AbsentError, LateError}


def kinds(of: type[InnervateError]) -> set[type[InnervateError]]:
    """Those with a code of their own; the others cross the wire as what they are a kind of."""
    named = {of} if "code" in vars(of) else set()
    return named | {kind for child in of.__subclasses__() for kind in kinds(child)}


def test_every_error_has_a_status_and_a_way_back() -> None:
    assert set(KINDS.values()) == kinds(InnervateError) - ONLY_IN_FRONT_ENDS
    assert set(STATUSES) == set(KINDS)


def test_document() -> None:
    assert problem(BmcError("no answer", evidence="10.0.0.1:443", next_action="look at its link")) == ProblemView(
        type="/docs/errors/bmc",
        title="Bad Gateway",
        status=502,
        detail="no answer",
        code="bmc",
        evidence="10.0.0.1:443",
        next_action="look at its link",
    )


def test_foreign_errors_are_told_apart() -> None:
    assert problem(HTTPException(404, "Not Found")).code == "not-found"
    assert problem(HTTPException(405, "Method Not Allowed")).status == 405
    assert "secret" not in repr(problem(ValueError("secret")))
