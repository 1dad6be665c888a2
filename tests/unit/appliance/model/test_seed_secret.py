"""Whose secret a machine is given with its seed, as a plan holds it."""

from appliance.model.codec import from_json, to_json
from appliance.model.identity import Release
from appliance.model.seed_secret import SeedSecret


def test_a_plan_that_was_approved_before_there_were_secrets_of_clusters_keeps_its_digest() -> None:
    own = SeedSecret(name="app.token", file="/secrets/{machine}")
    assert to_json(own) == b'{"name":"app.token","file":"/secrets/{machine}"}'
    assert from_json(SeedSecret, to_json(own)) == own


def test_a_secret_of_the_cluster_is_one_after_a_restart_too() -> None:
    cluster = SeedSecret(name="join.token", file="/secrets/join", release=Release.CLUSTER)
    assert from_json(SeedSecret, to_json(cluster)) == cluster
