"""Clusters as text for people; what a cluster says is cleaned on its way."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from appliance.cli.show import columns, console
from appliance.frontend import units
from appliance.frontend.clusters import api_text, backend_text, cluster_standing, is_trouble, node_text, ready_text
from appliance.model.cluster_views import ApiState, ClusterBalancerView, ClustersView, ClusterView
from appliance.model.text import clean

__all__ = ["cluster", "clusters", "console"]

_NAME, _LINE = 253, 500
_WRONG = "bold red"


def clusters(view: ClustersView) -> RenderableType:
    if not view.clusters:
        return Text("no clusters")
    table = columns("cluster", "engine", "API", "nodes ready", "endpoint", "")
    for one in view.clusters:
        table.add_row(
            Text(clean(one.name, _NAME)),
            Text(_engine(one)),
            Text(one.api.state.value, style=_WRONG if _is_wrong(one) else ""),
            Text(ready_text(one)),
            Text(clean(one.endpoint, 100)),
            Text(cluster_standing(one).value),
        )
    return table


def cluster(view: ClusterView) -> RenderableType:
    known: tuple[RenderableType, ...] = (
        _nodes(view),
        *_applications(view),
        *_balancer(view.balancer),
        *_requests(view),
        *_backups(view),
    )
    return Group(*_head(view), *known, *_waits(view))


def _engine(view: ClusterView) -> str:
    """Whose work it is stands beside it, but where it is who it says."""
    whose = "" if view.provenance in {"", "genuine"} else f" ({clean(view.provenance, 20)})"
    return f"{clean(view.engine, 20)} {clean(view.version, 60)}{whose}"


def _head(view: ClusterView) -> Iterator[Text]:
    yield Text(f"{clean(view.name, _NAME)}: {_engine(view)} at {clean(view.endpoint, 100)}", style="bold")
    api = view.api
    yield Text(f"API: {api_text(api.state)}{_since(view)}", style=_WRONG if _is_wrong(view) else "")
    yield from _said((("lacks", api.lacks), ("seen", api.evidence), ("next", api.next_action)))
    yield Text(f"nodes ready: {ready_text(view)}")
    if view.access_ends is not None:
        yield Text(f"the appliance's access ends {units.moment(view.access_ends)}")


def _said(lines: tuple[tuple[str, str], ...]) -> Iterator[Text]:
    yield from (Text(f"  {word}: {clean(text, _LINE)}") for word, text in lines if text)


def _since(view: ClusterView) -> str:
    looked = f", last asked {units.moment(view.api.looked)}" if view.api.looked is not None else ""
    if view.api.silent_since is not None:
        return f" since {units.moment(view.api.silent_since)}{looked.replace('asked', 'answered')}"
    return looked


def _nodes(view: ClusterView) -> Table:
    table = columns("node", "role", "membership", "since", "the cluster says", "version", "why")
    for node in view.nodes:
        said = node.said
        table.add_row(
            Text(clean(node.name, _NAME)),
            Text(clean(node.role, 20)),
            Text(node.state.value),
            Text(units.moment(node.since) if node.since is not None else "-"),
            Text(node_text(node), style=_WRONG if is_trouble(node) else ""),
            Text(clean(said.version, 60) if said is not None else "-"),
            Text(clean(said.why, _LINE) if said is not None else ""),
        )
    return table


def _applications(view: ClusterView) -> Iterator[Table]:
    if not view.applications:
        return
    table = columns("application", "version", "namespace", "since", "")
    for one in view.applications:
        table.add_row(
            Text(clean(one.name, 60)),
            Text(clean(one.version, 60)),
            Text(clean(one.namespace, 60)),
            Text(units.moment(one.since)),
            Text(clean(one.trouble, _LINE), style=_WRONG),
        )
    yield table


def _backups(view: ClusterView) -> Iterator[Table]:
    if not view.backups:
        return
    table = columns("backup", "taken", "version", "revision", "bytes")
    for one in view.backups:
        taken, version = units.moment(one.at), clean(one.version, 60)
        table.add_row(Text(one.name), Text(taken), Text(version), Text(str(one.revision)), Text(str(one.size)))
    yield table


def _balancer(view: ClusterBalancerView | None) -> Iterator[Text]:
    if view is None:
        return
    for one in view.backends:
        where = f"{clean(one.listener, 60)} to {clean(one.name, _NAME)} at {clean(one.address, 45)}:{one.port}"
        yield Text(f"balancer: {where} {backend_text(one)}", style="" if one.well and not one.out else _WRONG)
    if view.trouble:
        yield Text(f"balancer: it cannot be asked: {clean(view.trouble, _LINE)}", style=_WRONG)


def _requests(view: ClusterView) -> Iterator[Text]:
    refused = view.refused
    if refused.count:
        last = f", the last {units.moment(refused.last)}" if refused.last is not None else ""
        yield Text(f"requests refused: {refused.count}{last}", style=_WRONG)
        yield from _said((("last", refused.text),))
    for token in view.tokens:
        yield Text(f"token: {clean(token.machine, _NAME)} may join until {units.moment(token.expires)}")


def _waits(view: ClusterView) -> Iterator[Text]:
    yield from (Text(f"waits: {clean(text, _LINE)}") for text in view.waiting)


def _is_wrong(view: ClusterView) -> bool:
    return view.api.state in (ApiState.SILENT, ApiState.NOT_READY)
