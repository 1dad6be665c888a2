"""A container host that does at once what jobs tell it, and says so as a real one does. Real ones: tests/cluster."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from ipaddress import IPv4Address

from appliance.apps.smoke import SmokeTest
from appliance.conductor.decision import ClusterSight, Progress
from appliance.errors import UnreachableError
from appliance.hosting import engine
from appliance.hosting.units import service_of
from appliance.model.application import AppName
from appliance.model.cluster import SetRef
from appliance.model.hosted import HostedSpec
from appliance.model.ids import MachineName
from appliance.model.secret import Secret
from appliance.nodes.job import Job, TextFile
from appliance.ports import Sink
from appliance.services.cluster_hold import failed
from appliance.store.records import Problem
from images.artifact_set import ArtifactSet, Engine, Provenance, SetFile, SetImage

NODE, REGISTRY = MachineName("node-0"), "10.77.0.1:5000"
PODMAN = ArtifactSet(
    engine=Engine.PODMAN,
    version="5.4.2",
    arch="amd64",
    provenance=Provenance.GENUINE,
    files=(SetFile(name="podman.deb", role="package", size=1, sha256="e" * 64),),
    images=(),
)


def package(version: str, name: str = "web", unit: str = "web") -> ArtifactSet:
    digest = f"sha256:{sha256(f'{name} {version}'.encode()).hexdigest()}"
    return replace(
        PODMAN,
        engine=Engine.APPLICATION,
        application=name,
        version=version,
        files=(SetFile(name=f"{unit}.container", role="quadlet", size=1, sha256="a" * 64),),
        images=(SetImage(repository=f"apps/{name}", tag=version, digest=digest),),
    )


def spec(found: ArtifactSet, *, heals: bool = True) -> HostedSpec:
    package = SetRef.of(found.name, found)
    return HostedSpec(name=AppName(found.application), package=package, registry=REGISTRY, heals=heals)


@dataclass
class Packages:
    """Those that are held; `asked` whether all of them answer."""

    held: tuple[ArtifactSet, ...]
    smoke: SmokeTest | None = None
    asked: list[str] = field(default_factory=list)
    authority: str = "-----BEGIN CERTIFICATE-----\n"

    def described(self, ref: SetRef) -> ArtifactSet:
        (found,) = (one for one in self.held if one.name == ref.name)
        return found

    async def content(self, ref: SetRef, role: str) -> bytes | None:
        assert role == "smoke"
        test = self.smoke
        return f'{{"service": "{test.service}", "port": {test.port}}}'.encode() if test is not None else None

    async def contents(self, ref: SetRef, role: str) -> Mapping[str, bytes]:
        found = self.described(ref)
        (image,) = found.images
        text = f"[Container]\nImage={image.name}\n".encode()
        return {file.name: text for file in found.of_role(role)}

    async def ready(self, ref: SetRef) -> None:
        self.asked.append(ref.name)


@dataclass
class Host:
    """`active` is what systemd says of services from now on, `stuck` keeps jobs at work, `broken` fails them with these
    words; `down`: nothing answers."""

    active: str = "active"
    stuck: bool = False
    broken: str = ""
    down: bool = False
    files: dict[str, str] = field(default_factory=dict)
    services: dict[str, str] = field(default_factory=dict)
    images: set[str] = field(default_factory=set)
    marks: dict[str, str] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)

    async def job(self, machine: MachineName, job: Job) -> ClusterSight:
        self._answer()
        if self.stuck:
            return ClusterSight(progress=Progress.AT_WORK, words="fetching")
        if self.broken:
            return failed(Problem(code="cluster", message="it could not", evidence=self.broken, next_action="look"))
        progress = Progress.DONE if self.marks.get(job.name) == job.mark else Progress.NOT_BEGUN
        return ClusterSight(progress=progress, words=job.name)

    async def start(self, machine: MachineName, job: Job) -> str:
        self._answer()
        self.begun.append(job.name)
        if self.stuck or self.broken:
            self._keep(job, "json")
        elif job.name.startswith("deploy-"):
            self._deploy(job)
        elif job.name.startswith("retire-"):
            self._retire(job.name.removeprefix("retire-"))
        self.marks[job.name] = job.mark
        return "begun"

    async def feed(self, machine: MachineName, argv: tuple[str, ...], text: Secret) -> str:
        self._answer()
        account, *images = argv[4:]
        self.files[account] = text.reveal()
        self.images -= set(images)
        return ""

    async def pull(self, machine: MachineName, argv: tuple[str, ...], out: Sink) -> None:
        self._answer()
        out.write(self._said(argv).encode())

    def address(self, machine: MachineName) -> IPv4Address:
        return IPv4Address("10.77.0.50")

    def _answer(self) -> None:
        if self.down:
            raise UnreachableError("no answer")

    def _deploy(self, job: Job) -> None:
        name = job.name.removeprefix("deploy-")
        self._drop(f"{engine.FOLDER}{name}/")
        self._keep(job, "")
        self.images |= {act.argv[4] for act in job.acts if "podman pull" in " ".join(act.argv)}
        self.services |= {service_of(path.rpartition("/")[2]): self.active for path in self._units()}

    def _keep(self, job: Job, only: str) -> None:
        for file in (one for one in job.files if one.path.endswith(only)):
            self.files[self._place(file)] = str(file.text)

    def _place(self, file: TextFile) -> str:
        """Where it is when the job has ended."""
        app, _, rest = file.path.removeprefix(f"{engine.STATE}/").partition("/new/")
        return f"{engine.FOLDER}{app}/{rest}" if rest else file.path

    def _retire(self, name: str) -> None:
        self._drop(f"{engine.FOLDER}{name}/")
        self._drop(f"{engine.STATE}/{name}.json")
        self.images = {image for image in self.images if f"/apps/{name}@" not in image}
        self.marks.pop(f"deploy-{name}", None)

    def _drop(self, beginning: str) -> None:
        self.files = {path: text for path, text in self.files.items() if not path.startswith(beginning)}

    def _units(self) -> list[str]:
        return [path for path in self.files if path.startswith(engine.UNITS)]

    def _said(self, argv: tuple[str, ...]) -> str:
        lines = [f"account={text.strip()}" for path, text in self.files.items() if path.startswith(engine.STATE)]
        lines += [f"file={sha256(self.files[path].encode()).hexdigest()}  {path}" for path in self._units()]
        sources = {service_of(path.rpartition("/")[2]): path for path in self._units()} | self.others
        for service in sorted({*argv[8:], *sources}):
            load = "loaded" if service in sources else "not-found"
            active = self.services.get(service, "inactive")
            lines += [f"Id={service}", f"LoadState={load}", f"ActiveState={active}", "SubState=running"]
            lines += [f"SourcePath={sources.get(service, '')}", "ActiveEnterTimestampMonotonic=1000000", ""]
        lines += ["", "uptime=100.0", *(f"image={image}" for image in sorted(self.images))]
        return "\n".join(lines) + "\n"
