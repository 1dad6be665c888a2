"""One trace from the button to the packet, by OpenTelemetry's API alone.

Without an SDK nothing is recorded, and a trace is only a name: in problem documents, log lines, the audit log, and with
the run that a request began. With one, its spans carry the same name. Format of a place in a trace: W3C Trace Context,
version 00, `traceparent`.
"""

import re

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, Tracer

from appliance import __version__
from appliance.ports import Rng

_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


def tracer() -> Tracer:
    """Of the SDK that the process was started with, if any."""
    return trace.get_tracer("innervate", __version__)


def begun(source: Tracer, name: str, rng: Rng) -> Span:
    """The first span of a new trace. Where nobody records it, it still has a name of its own."""
    span = source.start_span(name, context=Context(), kind=SpanKind.SERVER)
    if span.get_span_context().is_valid:
        return span
    made = SpanContext(int(rng.token(16), 16) or 1, int(rng.token(8), 16) or 1, is_remote=False)
    return NonRecordingSpan(made)


def name_of(span: Span) -> str:
    """32 hex digits."""
    return f"{span.get_span_context().trace_id:032x}"


def here() -> str:
    """Where what is done now stands, as `traceparent`; "" outside of requests."""
    found = trace.get_current_span().get_span_context()
    if not found.is_valid:
        return ""
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"


def under(parent: str) -> Context:
    """To begin spans in; what is no `traceparent` begins a trace of its own."""
    match = _PARENT.fullmatch(parent)
    if match is None:
        return Context()
    found = SpanContext(int(match[1], 16), int(match[2], 16), is_remote=True, trace_flags=TraceFlags(int(match[3], 16)))
    return trace.set_span_in_context(NonRecordingSpan(found), Context())


def within(span: Span) -> Context:
    return trace.set_span_in_context(span, Context())
