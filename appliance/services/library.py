"""What machines can download: images and ramdisks of the artefact store, and the seed of each machine."""

import zlib
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from threading import Lock

from appliance.conductor.hands import PublishedSeed
from appliance.errors import RefusedError
from appliance.identity.key import ApplianceKey
from appliance.install.seed import seed_files
from appliance.model.identity import Bound, IdentityPolicy
from appliance.model.ids import Nonce
from appliance.model.secret import Secret
from appliance.model.seed_secret import SeedSecret
from appliance.model.site import BootNetwork
from appliance.plan import ImageRef, WriteSeed
from appliance.ports import Rng
from images.agent.bond import SIZE, sealed
from images.ports import Processes
from images.seed import build
from pxe.content import Content, ContentTable, FileContent, Mark

_OTHERS = 0o077


class Library:
    """Artefacts are named by their hash, so a name never changes its content."""

    def __init__(
        self,
        artifacts: Mapping[str, Content],
        network: BootNetwork,
        report_url: str,
        processes: Processes,
        offer: Callable[[ContentTable], None],
        folder: Path,
        key: ApplianceKey,
        policy: IdentityPolicy,
        rng: Rng,
    ) -> None:
        """`folder` is for seeds alone: what an earlier life left there goes. `key` seals them."""
        self._key, self._policy, self._rng = key, policy, rng
        self._artifacts = dict(artifacts)
        self._seeds: dict[str, FileContent] = {}
        self._folder = folder
        for left in (*folder.glob("*.*"),) if folder.is_dir() else ():
            left.unlink()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._network = network
        self._report_url = report_url
        self._processes = processes
        self._offer = offer
        self._lock = Lock()

    def manifest_path(self, image: ImageRef) -> str:
        return artifact_path(image.manifest_sha256)

    def blob_path(self, image: ImageRef) -> str:
        return artifact_path(image.blob_sha256)

    def publish_seed(self, do: WriteSeed, nonce: Nonce, reader: Bound) -> PublishedSeed:
        """A machine's newer seed replaces its older one."""
        secrets = self._secrets(do, reader)
        files = seed_files(do, nonce=nonce, report_url=self._report_url, network=self._network, secrets=secrets)
        salt = self._rng.token(SIZE)
        shared = self._key.shared(bytes.fromhex(reader.key))
        data = sealed(shared, bytes.fromhex(salt), reader.nonce, zlib.compress(build(files, self._processes)))
        digest = sha256(data).hexdigest()
        name, path = f"seed/{do.hostname}/{digest}", self._folder / f"{do.hostname}.{digest}"
        path.write_bytes(data)
        with self._lock:
            older = [(k, v) for k, v in self._seeds.items() if k.startswith(f"seed/{do.hostname}/") and k != name]
            self._seeds[name] = FileContent(path=path, size=len(data), digest=digest, mark=Mark.of(path.stat()))
            for key, seed in older:
                del self._seeds[key]
                seed.path.unlink(missing_ok=True)
            self._offer(ContentTable({**self._artifacts, **self._seeds}))
        return PublishedSeed(path=artifact_path(name), sha256=digest, size=len(data), salt=salt)

    def lend(self, files: Mapping[str, Path]) -> None:
        """Serves these from now on, each by the SHA-256 that it was just seen to have."""
        lent = {
            digest: FileContent(path=path, size=(seen := path.stat()).st_size, digest=digest, mark=Mark.of(seen))
            for digest, path in files.items()
        }
        with self._lock:
            self._artifacts |= lent
            self._offer(ContentTable({**self._artifacts, **self._seeds}))

    def _secrets(self, do: WriteSeed, reader: Bound) -> Mapping[str, Secret]:
        """Looked at once more where they leave: whoever asked for this seed may have asked too soon."""
        wanted = [secret.release for secret in do.secrets]
        if not self._policy.suffices(reader.rung, wanted):
            raise RefusedError(
                f"{do.hostname} gets no secrets: it stands on {reader.rung.value}",
                evidence=f"they need {self._policy.asked(wanted).value}; agent key {reader.key[:16]}",
                next_action=f"see what would raise it: innervate status {do.hostname}",
            )
        return {secret.name: _read(secret, do.hostname) for secret in do.secrets}


def _read(secret: SeedSecret, machine: str) -> Secret:
    """Raises `RefusedError` for a file that is not there, or that others can read."""
    file = Path(secret.file_of(machine))
    try:
        is_open, text = file.stat().st_mode & _OTHERS, file.read_text()
    except (OSError, ValueError) as error:
        raise RefusedError(
            f"secret {secret.name} of {machine} cannot be read",
            evidence=f"{file}: {error}",
            next_action=f"write it: install -m 600 /dev/stdin {file}",
        ) from error
    if is_open:
        raise RefusedError(f"others can read {file}", evidence="mode", next_action=f"chmod 600 {file}")
    return Secret(text)


def artifact_path(name: str) -> str:
    return f"/artifact/{name}"
