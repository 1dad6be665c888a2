"""The last hours of a few numbers, in memory, for charts. As many samples as `KEPT`, the oldest go."""

from collections import deque

from appliance.model.network_views import HistoryView, SampleView

STEP = 10.0
KEPT = 1080
"""Three hours."""


class History:
    def __init__(self, step: float = STEP, kept: int = KEPT) -> None:
        self._step = step
        self._samples: deque[SampleView] = deque(maxlen=kept)

    def put(self, sample: SampleView) -> None:
        self._samples.append(sample)

    def view(self) -> HistoryView:
        return HistoryView(step=self._step, samples=tuple(self._samples))
