"""How a cluster stands, in one word."""

from dataclasses import replace

import pytest

from appliance.api.fake_clusters import PROD
from appliance.frontend.clusters import api_text, cluster_standing, node_text, ready_text
from appliance.model.cluster_views import ApiState, ClusterApiView, ClusterView
from appliance.model.standing import Standing

WELL = replace(PROD, nodes=PROD.nodes[:1], wanted=1)


@pytest.mark.parametrize(
    ("view", "word"),
    [
        (WELL, Standing.ACTIVE),
        (replace(WELL, nodes=(PROD.nodes[0], PROD.nodes[2])), Standing.RUNNING),
        (PROD, Standing.DEGRADED),
        (replace(WELL, nodes=(replace(PROD.nodes[0], said=None),)), Standing.DEGRADED),
        (replace(WELL, api=ClusterApiView(state=ApiState.NOT_READY)), Standing.DEGRADED),
        (replace(WELL, api=ClusterApiView(state=ApiState.SILENT)), Standing.SILENT),
        (replace(WELL, api=ClusterApiView(state=ApiState.UNFOUNDED)), Standing.RUNNING),
        (replace(WELL, api=ClusterApiView(state=ApiState.UNSEEN)), Standing.UNKNOWN),
    ],
    ids=["well", "one joins", "one is not ready", "one is not listed", "lame", "silent", "founded now", "unseen"],
)
def test_standing(view: ClusterView, word: Standing) -> None:
    assert cluster_standing(view) is word


def test_words() -> None:
    assert ready_text(replace(PROD, ready=None)) == "? of 3"
    assert node_text(replace(PROD.nodes[0], said=None, looked=None)) == "not asked yet"
    assert len({api_text(state) for state in ApiState}) == len(ApiState)
