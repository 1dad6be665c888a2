"""Steps of container hosts: one is prepared; a version is put there and believed when it is well; another is taken
away."""

from typing import assert_never

from appliance.apps.verdict import State
from appliance.conductor.decision import ClusterSight, Progress
from appliance.hosting import verdict
from appliance.hosting.words import Sight
from appliance.model.hosted import DeployHosted, HostAction, PrepareHost, RetireHosted
from appliance.model.ids import MachineName
from appliance.services.cluster_hold import at_work, done, failed, not_begun
from appliance.services.host_work import HostWork, Wanted
from appliance.store.records import Problem


class HostDesk:
    def __init__(self, work: HostWork) -> None:
        self._work = work

    async def look(self, machine: MachineName, do: HostAction) -> ClusterSight:
        match do:
            case PrepareHost():
                return await self._work.job(machine, self._work.preparation(do))
            case DeployHosted():
                return await self._deployed(machine, do)
            case RetireHosted():
                return await self._retired(machine, do)
            case _:
                assert_never(do)

    async def begin(self, machine: MachineName, do: HostAction) -> str:
        match do:
            case PrepareHost():
                await self._work.require(do.set)
                return await self._work.prepare(machine, do)
            case DeployHosted():
                return await self._deploy(machine, do)
            case RetireHosted():
                return await self._retire(machine, do)
            case _:
                assert_never(do)

    async def _deploy(self, machine: MachineName, do: DeployHosted) -> str:
        await self._work.require(do.app.package)
        wanted = await self._work.wanted(do.app)
        async with self._work.changing(machine):
            return await self._work.put(machine, wanted, await self._work.see(machine, wanted.services))

    async def _retire(self, machine: MachineName, do: RetireHosted) -> str:
        async with self._work.changing(machine):
            account = (await self._work.see(machine)).accounts.get(do.app.name)
            if account is None:
                return "nothing of it is there"
            return await self._work.take_away(machine, account, keeps_data=do.keeps_data)

    async def _deployed(self, machine: MachineName, do: DeployHosted) -> ClusterSight:
        wanted = await self._work.wanted(do.app)
        job = await self._work.job(machine, wanted.job)
        if job.progress is not Progress.DONE:
            return job
        seen = await self._work.see(machine, wanted.services)
        account = seen.accounts.get(do.app.name)
        if account is None or account.revision != do.app.package.sha256:
            runs = f"{account.version} is there" if account is not None else "it is not there"
            return not_begun(f"{do.app.name}: {runs}")
        if why := verdict.changed(do.app.name, wanted.units, seen):
            return not_begun(f"{do.app.name}: {why}")
        return await self._well(machine, do, wanted, seen)

    async def _well(self, machine: MachineName, do: DeployHosted, wanted: Wanted, seen: Sight) -> ClusterSight:
        judged = verdict.judged(do.app.name, wanted.units, seen)
        if judged.state is State.FAILED:
            return failed(_unwell(machine, do, judged.why))
        if judged.why:
            return at_work(judged.why)
        if why := await self._work.test(machine, wanted):
            return at_work(f"its smoke test misses: {why}")
        async with self._work.changing(machine):
            await self._work.prune(machine, wanted, seen)
        return done(f"runs {do.app.package.version}", _evidence(do, wanted))

    async def _retired(self, machine: MachineName, do: RetireHosted) -> ClusterSight:
        name, seen = do.app.name, await self._work.see(machine, whole=True)
        if name not in seen.accounts:
            if left := verdict.left(name, seen, keeps_data=do.keeps_data):
                return at_work(f"still there: {', '.join(left[:3])}")
            return done(
                "retired", {"application": name, "left": "nothing but its data" if do.keeps_data else "nothing"}
            )
        job = await self._work.going(machine, name, keeps_data=do.keeps_data)
        return job if job.progress in (Progress.AT_WORK, Progress.FAILED) else not_begun(f"{name} is there")


def _evidence(do: DeployHosted, wanted: Wanted) -> dict[str, str]:
    test = wanted.smoke
    return {
        "application": f"{do.app.name} {do.app.package.version}",
        "package": do.app.package.sha256[:12],
        "units": ", ".join(unit.file for unit in wanted.units),
        "images": ", ".join(sorted(image.rpartition(":")[2][:12] for image in wanted.images)) or "none",
        "smoke test": f"{test.service}{test.path} answered {test.status}" if test is not None else "it has none",
    }


def _unwell(machine: MachineName, do: DeployHosted, why: str) -> Problem:
    return Problem(
        code="cluster",
        message=f"{do.app.name} {do.app.package.version} does not become well on {machine}",
        evidence=why,
        next_action=f"mend its package, and deploy the next version; read more: innervate ssh {machine} journalctl -e",
    )
