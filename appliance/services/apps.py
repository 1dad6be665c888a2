"""Steps of applications: a version is put into its cluster and believed when it is well; another is taken away."""

from typing import assert_never

from appliance.apps import verdict
from appliance.apps.verdict import State
from appliance.conductor.decision import ClusterSight
from appliance.kubernetes.api import Kubernetes
from appliance.kubernetes.resources import Resources
from appliance.model.application import AppAction, DeployApplication, RetireApplication
from appliance.services.app_work import AppWork, Wanted
from appliance.services.cluster_hold import Hold, at_work, done, failed, not_begun
from appliance.store.records import Problem


class AppDesk:
    def __init__(self, work: AppWork, hold: Hold) -> None:
        self._work, self._hold = work, hold

    async def look(self, do: AppAction) -> ClusterSight:
        async with self._hold.open(do.cluster) as api:
            resources = Resources(api)
            match do:
                case DeployApplication():
                    return await self._deployed(do, api, resources)
                case RetireApplication():
                    return await self._retired(do, resources)
                case _:
                    assert_never(do)

    async def begin(self, do: AppAction) -> str:
        async with self._hold.open(do.cluster) as api, self._work.changing(do.cluster):
            resources = Resources(api)
            before = await self._work.kept(do.app, resources)
            match do:
                case DeployApplication():
                    await self._work.require(do.app)
                    await self._work.put(await self._work.wanted(do.cluster, do.app, resources), before, resources)
                    return f"applied {do.app.package.version}"
                case RetireApplication(keeps_data=keeps_data):
                    await self._work.forget(do.cluster.name, do.app.name)
                    if before is not None:
                        await self._work.remove(before, resources, keeps_data=keeps_data)
                    return "told to go"
                case _:
                    assert_never(do)

    async def _deployed(self, do: DeployApplication, api: Kubernetes, resources: Resources) -> ClusterSight:
        kept = await self._work.kept(do.app, resources)
        if kept is None or kept.revision != do.app.package.sha256:
            runs = f"{kept.version} is there" if kept is not None else "it is not there"
            return not_begun(f"{do.app.name}: {runs}")
        wanted = await self._work.wanted(do.cluster, do.app, resources)
        if why := await self._work.lead(do.cluster, wanted, api, resources):
            return failed(_unwell(do, why))
        verdicts, causes = await self._work.look(wanted, resources)
        if broken := [one for one in verdicts if one.state is State.FAILED]:
            return failed(_unwell(do, verdict.words(broken, causes)))
        if why := verdict.words(verdicts, causes):
            return at_work(why)
        if why := await self._work.test(wanted, resources):
            return at_work(f"its smoke test misses: {why}")
        async with self._work.changing(do.cluster):
            if left := await self._work.prune(wanted, kept, resources):
                return at_work(f"removing what this version has no more: {', '.join(map(str, left[:3]))}")
        return done(f"runs {do.app.package.version}", _evidence(do, wanted))

    async def _retired(self, do: RetireApplication, resources: Resources) -> ClusterSight:
        kept = await self._work.kept(do.app, resources)
        if kept is None:
            if await self._work.is_leaving(do.app, resources):
                return at_work(f"the namespace {do.app.namespace} is going, with whatever is in it")
            return done("retired", {"application": do.app.name, "left": "nothing"})
        async with self._work.changing(do.cluster):
            left = await self._work.remove(kept, resources, keeps_data=do.keeps_data)
        return at_work(f"going: {', '.join(map(str, left[:3]))}" if left else "forgetting it")


def _evidence(do: DeployApplication, wanted: Wanted) -> dict[str, str]:
    test, images = wanted.smoke, {image for one in wanted.documents for image in one.images}
    return {
        "application": f"{do.app.name} {do.app.package.version}",
        "package": do.app.package.sha256[:12],
        "objects": str(len(wanted.documents)),
        "images": ", ".join(sorted(image.rpartition(":")[2][:12] for image in images)) or "none",
        "smoke test": f"{test.service}{test.path} answered {test.status}" if test is not None else "it has none",
    }


def _unwell(do: DeployApplication, why: str) -> Problem:
    return Problem(
        code="cluster",
        message=f"{do.app.name} {do.app.package.version} does not become well in {do.cluster.name}",
        evidence=why,
        next_action=f"mend its package, and deploy the next version; kubectl -n {do.app.namespace} describe shows more",
    )
