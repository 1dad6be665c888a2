"""What happened to a cluster as a whole. Pure."""

from dataclasses import dataclass, replace

from appliance.store.records import ClusterNoted


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPast:
    """`refused` counts who asked for what was not his; `last` is when the last of them did, `text` what was said of it.
    `confirmed` is when the cluster last showed that all its nodes are ready. Seconds since the epoch."""

    refused: int = 0
    last: float | None = None
    text: str = ""
    confirmed: float | None = None

    def noted(self, record: ClusterNoted, now: float) -> "ClusterPast":
        return replace(self, refused=self.refused + 1, last=now, text=record.text) if record.refused else self
