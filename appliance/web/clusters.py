"""The parts of the pages of clusters."""

from collections.abc import Mapping

from appliance.api.common import Clusters
from appliance.errors import NotFoundError
from appliance.web.live import METER, SITE
from appliance.web.render import render

Parts = Mapping[str, str]
_CHANGES = (SITE, METER)
"""With events; and what the clusters say of themselves every few seconds."""


class ClusterParts:
    def __init__(self, desk: Clusters) -> None:
        self._desk = desk

    def all(self, key: str, now: float) -> Parts:
        if key not in _CHANGES:
            return {}
        return {"clusters": render("_clusters", clusters=self._desk.clusters().clusters, now=now)}

    def one(self, name: str, now: float) -> Parts:
        """Raises `NotFoundError`."""
        return {"cluster": render("_cluster", cluster=self._desk.cluster(name), now=now)}

    def still(self, name: str, key: str, now: float) -> Parts:
        """Of a page that is looked at: a cluster that was removed meanwhile ends no stream."""
        if key not in _CHANGES:
            return {}
        try:
            return self.one(name, now)
        except NotFoundError:
            return {"cluster": render("_cluster", cluster=None, now=now)}
