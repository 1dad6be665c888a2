"""What was last wrong with each application: kept for whoever shows it."""

from appliance.model.application import AppName
from appliance.model.cluster import ClusterName


class AppLooks:
    def __init__(self) -> None:
        self._troubles = dict[tuple[ClusterName, AppName], str]()

    def trouble(self, cluster: ClusterName, name: AppName) -> str:
        """ "" for nothing."""
        return self._troubles.get((cluster, name), "")

    def keep(self, cluster: ClusterName, name: AppName, trouble: str) -> str:
        """What was wrong before."""
        before = self.trouble(cluster, name)
        self._troubles[cluster, name] = trouble
        return before
