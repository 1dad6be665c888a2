"""What was last wrong with each application: kept for whoever shows it, and so that it is told once."""

from typing import Generic, TypeVar

from appliance.model.application import AppName

Place = TypeVar("Place")
"""A cluster, or a host, by name."""


class AppLooks(Generic[Place]):
    def __init__(self) -> None:
        self._troubles = dict[tuple[Place, AppName], str]()

    def trouble(self, place: Place, name: AppName) -> str:
        """ "" for nothing."""
        return self._troubles.get((place, name), "")

    def keep(self, place: Place, name: AppName, trouble: str) -> str:
        """What was wrong before."""
        before = self.trouble(place, name)
        self._troubles[place, name] = trouble
        return before

    def begins(self, place: Place, name: AppName, trouble: str) -> bool:
        """Whether something else was wrong before, whatever its details: what lasts is told at its beginning."""
        return self.keep(place, name, trouble).partition(":")[0] != trouble.partition(":")[0]
