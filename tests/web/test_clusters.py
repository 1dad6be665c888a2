"""Clusters in a browser: the list, one with its nodes, what changes while one looks, by keyboard."""

from dataclasses import replace

from playwright.sync_api import Page, expect

from appliance.api.fake_clusters import PROD
from appliance.model.cluster_views import ApiState, ClusterApiView, Membership, NodeWordView
from tests.web.scenes import NOW, rack
from tests.web.serving import serving


def test_a_cluster_changes_while_one_looks(page: Page) -> None:
    application = rack()
    held = application.cluster_desk.held
    with serving(application) as served:
        page.goto(served.url)
        page.keyboard.press("7")
        row = page.get_by_role("row", name="prod")
        expect(row).to_contain_text("degraded")
        expect(row).to_contain_text("1 of 3")
        row.get_by_role("link", name="prod").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="prod")).to_be_visible()
        bad = page.get_by_role("row", name="node-1")
        expect(bad).to_contain_text("not ready, takes no pods")
        expect(bad).to_contain_text("container runtime is down")
        expect(page.get_by_role("row", name="node-2")).to_contain_text("joining")
        expect(page.locator("#cluster")).to_contain_text("join node-2 to the cluster prod as worker: it has begun")
        expect(page.locator("#cluster")).to_contain_text("2 requests refused")
        expect(page.get_by_role("row", name="prod-api")).to_contain_text("serves")
        word = NodeWordView(ready=True, version="v1.20.2", schedulable=True)
        nodes = tuple(replace(node, said=word, state=Membership.CONFIRMED) for node in PROD.nodes)
        held["prod"] = replace(PROD, ready=3, nodes=nodes, waiting=())
        served.do(application.tell("node-1", "the cluster is ready"))
        expect(page.locator(".verdict")).to_contain_text("active: its API answers, and is ready; nodes ready: 3 of 3")
        expect(page.locator("td.active")).to_have_count(4)
        silent = ClusterApiView(state=ApiState.SILENT, lacks="no answer", looked=NOW, silent_since=NOW)
        held["prod"] = replace(PROD, ready=None, api=silent)
        served.do(application.tell("node-1", "no answer"))
        expect(page.locator(".verdict")).to_contain_text("silent: its API does not answer for")
        expect(page.locator(".verdict")).to_contain_text("? of 3")
        held.clear()
        served.do(application.tell("node-1", "the cluster has ended"))
        expect(page.locator("#cluster")).to_contain_text("There is no such cluster any more")
        page.goto(f"{served.url}/clusters")
        expect(page.locator("#clusters")).to_contain_text("No cluster was made yet")


def test_a_machine_says_where_it_belongs(page: Page) -> None:
    with serving(rack()) as served:
        page.goto(f"{served.url}/machines/node-1")
        section = page.get_by_role("region", name="Cluster")
        expect(section).to_contain_text("worker of prod, confirmed")
        section.get_by_role("link", name="prod").click()
        expect(page.get_by_role("heading", name="prod")).to_be_visible()
        page.goto(f"{served.url}/clusters/nobody")
        expect(page.get_by_text("no cluster is called nobody")).to_be_visible()
