"""A tracer that keeps its spans, as an SDK would; the product knows OpenTelemetry's API alone."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer


class Kept(Span):
    def __init__(self, name: str, context: SpanContext, parent: SpanContext | None, start: int | None) -> None:
        self.name, self.context, self.parent, self.start = name, context, parent, start
        self.end_time: int | None = None
        self.ended = False
        self.attributes: dict[str, Any] = {}
        self.events: list[tuple[str, int | None]] = []
        self.status = StatusCode.UNSET
        self.said = ""

    def end(self, end_time: int | None = None) -> None:
        assert not self.ended, f"{self.name} ended twice"
        self.ended, self.end_time = True, end_time

    def get_span_context(self) -> SpanContext:
        return self.context

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        self.attributes |= attributes

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        assert not self.ended
        self.events.append((name, timestamp))

    def update_name(self, name: str) -> None:
        self.name = name

    def is_recording(self) -> bool:
        return not self.ended

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        self.status = status if isinstance(status, StatusCode) else status.status_code
        self.said = description or ""

    def record_exception(self, *_: Any, **__: Any) -> None:
        raise AssertionError("an exception may tell what was in a request")


class Recorder(Tracer):
    def __init__(self) -> None:
        self.spans: list[Kept] = []
        self._number = count(1)

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Any = None,
        links: Any = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Kept:
        parent: SpanContext | None = trace.get_current_span(context).get_span_context()
        parent = parent if parent is not None and parent.is_valid else None
        number = next(self._number)
        trace_id = parent.trace_id if parent else number << 64
        made = SpanContext(trace_id, number, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
        self.spans.append(Kept(name, made, parent, start_time))
        return self.spans[-1]

    @contextmanager
    def start_as_current_span(self, *_: Any, **__: Any) -> Iterator[Span]:
        raise NotImplementedError

    def named(self, name: str) -> list[Kept]:
        return [span for span in self.spans if span.name == name]

    def under(self, parent: Kept) -> list[Kept]:
        return [span for span in self.spans if span.parent and span.parent.span_id == parent.context.span_id]
