"""What the installer has made for OKD clusters, sealed on the disk with the time of its making."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from appliance.errors import ClusterError
from appliance.model.cluster import ClusterName
from appliance.model.codec import to_json
from appliance.model.okd import OkdRole, OkdSpec
from appliance.model.secret import Secret
from appliance.okd.ignition import FRESH_SECONDS, is_single, require_fresh
from appliance.store.sealed_books import read_book
from appliance.store.secrets import SecretFile

_FILES = {OkdRole.BOOTSTRAP: "bootstrap.ign", OkdRole.MASTER: "master.ign", OkdRole.WORKER: "worker.ign"}
_SINGLE = "bootstrap-in-place-for-live-iso.ign"
KUBECONFIG = "auth/kubeconfig"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """`tree` are the installer's files by path, in the clear: this is what the file seals. `made` in seconds since the
    epoch. `started`: the cluster holds itself, so that what is left of it has no hours to run out."""

    spec: OkdSpec
    made: float
    tree: Mapping[str, str] = field(repr=False)
    started: bool = False

    def is_fresh(self, now: float) -> bool:
        return self.started or 0 <= now - self.made <= FRESH_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Book:
    clusters: Mapping[ClusterName, Made] = field(default_factory=dict)


class OkdKeys:
    """Read from any thread, written by one. Raises `MachineryError` where the file cannot be used."""

    def __init__(self, file: SecretFile) -> None:
        self._file = file
        self._book = read_book(file, _Book, "what was made for OKD clusters") or _Book()

    def of(self, cluster: ClusterName) -> Made | None:
        return self._book.clusters.get(cluster)

    def specs(self) -> Mapping[ClusterName, OkdSpec]:
        return {name: made.spec for name, made in self._book.clusters.items()}

    def keep(self, made: Made) -> None:
        self._write({**self._book.clusters, made.spec.cluster.name: made})

    def start(self, cluster: ClusterName) -> None:
        """It holds itself from now on."""
        made = self._book.clusters[cluster]
        if not made.started:
            self.keep(replace(made, started=True))

    def given(self, spec: OkdSpec, role: OkdRole, now: float) -> Secret:
        """What a machine of that role is told. Raises `ClusterError` where there is none, or none that is fresh."""
        made = self.of(spec.cluster.name)
        text = made.tree.get(_SINGLE if is_single(spec) else _FILES[role]) if made is not None else None
        if made is None or text is None:
            raise ClusterError(
                f"no Ignition was made for a {role.value} of {spec.cluster.name}",
                next_action="plan again: it is made first",
            )
        if not made.started:
            require_fresh(made.made, now)
        return Secret(text)

    def _write(self, clusters: Mapping[ClusterName, Made]) -> None:
        book = _Book(clusters=clusters)
        self._file.save(to_json(book))
        self._book = book
