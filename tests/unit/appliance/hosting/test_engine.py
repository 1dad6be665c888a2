"""Jobs and questions for a host: in which order things are done, and that a shell reads them."""

import subprocess
from dataclasses import replace

import pytest

from appliance.errors import SiteError
from appliance.hosting import engine
from appliance.model.hosted import PrepareHost
from appliance.nodes.job import Job, script
from tests.unit.appliance.conductor.test_hosting import ONE, PODMAN, REGISTRY, TWO
from tests.unit.appliance.hosting.test_words import ACCOUNT, IMAGE, UNITS, WEB
from tests.unit.appliance.services.host_scene import PODMAN as SET

PREPARE = PrepareHost(set=PODMAN, registry=REGISTRY)
DEPLOY = engine.deploy(ONE, UNITS, (IMAGE,), ACCOUNT)
RETIRE = engine.retire(WEB, (IMAGE,), keeps_data=False)


@pytest.mark.parametrize("job", [engine.prepare(PREPARE, SET, "PEM"), DEPLOY, RETIRE], ids=lambda job: job.name)
def test_a_shell_reads_all_of_it(job: Job) -> None:
    texts = [script(job, "http://files").reveal(), *(act.argv[2] for act in job.acts if act.argv[:2] == ("sh", "-c"))]
    for text in (*texts, engine.ask()[2], engine.forget(ACCOUNT, (IMAGE,))[0][2]):
        subprocess.run(["sh", "-n"], input=text.encode(), check=True)


def test_nothing_is_stopped_before_the_account_the_images_and_the_reading() -> None:
    assert DEPLOY.files[0].path == f"{engine.STATE}/web.json"
    texts = [" ".join(act.argv) for act in DEPLOY.acts]
    order = [
        next(at for at, text in enumerate(texts) if word in text) for word in ("podman pull", "--dryrun", "stop()")
    ]
    assert order == sorted(order)
    assert all("systemctl" not in text for text in texts[: order[2]])
    assert all(not file.path.startswith(engine.UNITS) for file in DEPLOY.files)


def test_the_mark_is_of_what_is_wanted() -> None:
    """And not of what was there before: whoever looks does not know that."""
    later = engine.deploy(ONE, UNITS, (IMAGE,), replace(ACCOUNT, images=("another", IMAGE)))
    assert later.mark == DEPLOY.mark == engine.deployed(ONE, UNITS).mark
    changed = (replace(UNITS[0], text="[Container]\nPull=never\n"), UNITS[1])
    others = {engine.deployed(ONE, changed).mark, engine.deployed(TWO, UNITS).mark}
    assert DEPLOY.mark not in others
    assert len(others) == 2


def test_a_set_without_packages_is_refused() -> None:
    with pytest.raises(SiteError, match="has no packages"):
        engine.prepare(PREPARE, replace(SET, files=()), "PEM")
