"""Viewers are told what changed since what they saw: once, together, and everything after a break."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from appliance.api.fake import FakeApplication
from appliance.model.network_views import HistoryView, SampleView
from appliance.model.phase import Phase
from appliance.model.views import EventView, MachineView, ProgressView, StepView
from appliance.web.live import METER, SITE, Hub, Update
from tests.unit.appliance.conductor.virtual import run


def rack(count: int = 3) -> FakeApplication:
    names = [f"node-{number}" for number in range(count)]
    return FakeApplication(inventory={name: MachineView(name=name, phase=Phase.UNKNOWN, since=0.0) for name in names})


def play(scene: Callable[[FakeApplication, Hub], Awaitable[None]]) -> None:
    async def whole() -> None:
        application = rack()
        await scene(application, Hub(application, "life"))

    run(whole())


async def change(application: FakeApplication, name: str, phase: Phase) -> None:
    application.inventory[name] = replace(application.inventory[name], phase=phase)
    await application.tell(name, f"now {phase.value}")


async def news(watch: AsyncIterator[Update | None]) -> Update:
    async for update in watch:
        if update is not None:
            return update
    raise AssertionError("the watch ended")


def test_only_what_changed_since_the_mark_is_told() -> None:
    async def scene(application: FakeApplication, hub: Hub) -> None:
        watch = hub.watch(hub.mark())
        waiting = asyncio.create_task(news(watch))
        await asyncio.sleep(1)
        await change(application, "node-1", Phase.ACTIVE)
        update = await waiting
        assert update.keys == {"node-1", SITE}
        assert update.said == ("node-1 is active",)
        assert [event.text for event in update.events] == ["now active"]
        await change(application, "node-2", Phase.AVAILABLE)
        assert (await news(watch)).keys == {"node-2", SITE}

    play(scene)


def test_a_mark_of_another_life_brings_everything() -> None:
    async def scene(_application: FakeApplication, hub: Hub) -> None:
        for mark in ("", "other-3", "life-x", "life-999"):
            assert (await news(hub.watch(mark))).keys == {"node-0", "node-1", "node-2", SITE}, mark

    play(scene)


def test_what_happened_between_a_page_and_its_stream_is_told() -> None:
    """Nobody looks, a page is drawn, something happens, and then its stream begins."""

    async def scene(application: FakeApplication, hub: Hub) -> None:
        mark = hub.mark()
        await change(application, "node-0", Phase.ACTIVE)
        update = await news(hub.watch(mark))
        assert "node-0" in update.keys

    play(scene)


def test_progress_that_no_event_tells_is_looked_at() -> None:
    async def scene(application: FakeApplication, hub: Hub) -> None:
        step = StepView(id="w", machine="node-0", score="s", summary="write", kind="destructive", budget=1.0)
        at_work = application.inventory["node-0"] = replace(application.inventory["node-0"], step=step)
        watch = hub.watch(hub.mark())
        for done in (1, 5):
            waiting = asyncio.create_task(news(watch))
            await asyncio.sleep(3)
            application.inventory["node-0"] = replace(at_work, progress=ProgressView(done=done, total=10))
            assert (await waiting).keys == {"node-0"}

    play(scene)


def test_a_part_is_drawn_once_for_each_change() -> None:
    async def scene(application: FakeApplication, hub: Hub) -> None:
        drawn: list[str] = []

        def draw(key: str) -> dict[str, str]:
            drawn.append(key)
            return {key: ""}

        watch = hub.watch(hub.mark())
        waiting = asyncio.create_task(news(watch))
        await asyncio.sleep(1)
        await change(application, "node-1", Phase.ACTIVE)
        await waiting
        for _viewer in range(50):
            hub.drawn("rack", "node-1", draw)
        assert drawn == ["node-1"]
        await change(application, "node-1", Phase.RESCUE)
        await news(watch)
        hub.drawn("rack", "node-1", draw)
        assert drawn == ["node-1", "node-1"]

    play(scene)


def test_a_stream_without_news_says_that_it_lives() -> None:
    async def scene(_application: FakeApplication, hub: Hub) -> None:
        watch = hub.watch(hub.mark())
        assert await anext(watch) is None

    play(scene)


def test_a_new_sample_is_told_once() -> None:
    async def scene(application: FakeApplication, hub: Hub) -> None:
        watch = hub.watch(hub.mark())
        waiting = asyncio.create_task(news(watch))
        await asyncio.sleep(1)
        sample = SampleView(time=5.0, http_bytes=1, tftp_bytes=0)
        application.stores.past = HistoryView(step=10.0, samples=(sample,))
        assert (await waiting).keys == {METER}
        await asyncio.sleep(5)
        waiting = asyncio.create_task(news(watch))
        await change(application, "node-1", Phase.ACTIVE)
        assert (await waiting).keys == {"node-1", SITE}
        assert METER in (await news(hub.watch(""))).keys

    play(scene)


def test_pages_that_viewers_make_up_are_not_kept_for_ever() -> None:
    async def scene(_application: FakeApplication, hub: Hub) -> None:
        first = hub.drawn("networks/0", SITE, lambda _key: {"part": "first"})
        assert hub.drawn("networks/0", SITE, lambda _key: {"part": "second"}) is first
        for number in range(30_000):
            hub.drawn(f"networks/{number + 1}", SITE, lambda _key: {})
        assert hub.drawn("networks/0", SITE, lambda _key: {"part": "second"}) == {"part": "second"}

    play(scene)


def test_a_line_is_drawn_once_for_all_viewers_and_anew_for_the_next_ones() -> None:
    drawn: list[int] = []

    def draw(event: EventView) -> str:
        drawn.append(event.seq)
        return event.text

    async def scene(_application: FakeApplication, hub: Hub) -> None:
        first, second = (EventView(seq=seq, time=0.0, machine="", run="", kind="k", text=f"{seq}") for seq in (1, 2))
        watch = hub.watch("")
        await anext(watch)
        assert [hub.line(event, draw) for event in (first, second, first)] == ["1", "2", "1"]
        await watch.aclose()
        assert hub.line(first, draw) == "1"

    play(scene)
    assert drawn == [1, 2, 1]
