"""A value that a file of secrets holds."""

from typing import TypeVar

from appliance.errors import MachineryError, UsageError
from appliance.model.codec import from_json
from appliance.store.secrets import SecretFile

T = TypeVar("T")


def read_book(file: SecretFile, form: type[T], what: str) -> T | None:
    """None where nothing was ever saved. Raises `MachineryError` that begins with `what`, and shows nothing of it."""
    raw = file.load()
    try:
        return None if raw is None else from_json(form, raw)
    except UsageError as error:
        raise MachineryError(
            f"{what} cannot be read",
            evidence="what the file holds is of another form",
            next_action="restore the state folder from a backup of this version",
        ) from error
