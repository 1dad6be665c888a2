"""Somebody who approves every plan."""

import threading
import time
from collections.abc import Callable

from appliance.frontend.provision import Person
from appliance.model.doctor import Check
from appliance.model.views import PlanView, RunView


def anybody(follow: Callable[[RunView], RunView], approve: Callable[[PlanView], None] = lambda _plan: None) -> Person:
    pace = threading.Event()

    def pause() -> None:
        pace.wait(0.1)

    def approved(plan: PlanView) -> tuple[Check, ...]:
        """Whatever the doctor finds stands in the way."""
        approve(plan)
        return ()

    return Person(approve=approved, told=approve, follow=follow, pause=pause, now=time.time)
