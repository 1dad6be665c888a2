from starlette.exceptions import HTTPException

from appliance.api.problems import STATUSES, problem
from appliance.client import KINDS
from appliance.errors import BmcError, InnervateError
from appliance.model.views import ProblemView


def kinds(of: type[InnervateError]) -> set[type[InnervateError]]:
    """The tree as `appliance.errors` draws it; front-ends add errors of their own, which never cross the wire."""
    below = {kind for child in of.__subclasses__() for kind in kinds(child)}
    return {kind for kind in below | {of} if kind.__module__ == "appliance.errors"}


def test_every_error_has_a_status_and_a_way_back() -> None:
    assert set(KINDS.values()) == kinds(InnervateError)
    assert set(STATUSES) == set(KINDS)


def test_document() -> None:
    assert problem(BmcError("no answer", evidence="10.0.0.1:443", next_action="look at its link")) == ProblemView(
        type="urn:innervate:bmc",
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
