"""What the appliance may do in the clusters that it made, and who was given which join token; sealed on the disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from appliance.kubernetes.objects import Access
from appliance.kubernetes.tokens import JoinToken
from appliance.model.cluster import ClusterName
from appliance.model.codec import to_json
from appliance.model.ids import MachineName
from appliance.model.secret import Secret
from appliance.ports import Rng
from appliance.store.sealed_books import read_book
from appliance.store.secrets import SecretFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """The id of a token, and when it ends (seconds since the epoch)."""

    id: str
    expires: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """`key` and `seal` in the clear: this is what the file seals."""

    ca: str = ""
    certificate: str = ""
    key: str = field(default="", repr=False)
    tokens: Mapping[MachineName, Issued] = field(default_factory=dict)
    numbered: Mapping[int, str] = field(default_factory=dict, repr=False)
    server: str = ""
    seal: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Book:
    clusters: Mapping[ClusterName, _Kept] = field(default_factory=dict)


class ClusterKeys:
    """Raises `MachineryError` where the file cannot be used."""

    def __init__(self, file: SecretFile) -> None:
        self._file = file
        self._book = read_book(file, _Book, "the clusters' keys") or _Book()

    def access(self, cluster: ClusterName) -> Access | None:
        """None before the cluster was founded."""
        kept = self._of(cluster)
        if not kept.key:
            return None
        return Access(ca=kept.ca, certificate=kept.certificate, key=Secret(kept.key), server=kept.server)

    def keep(self, cluster: ClusterName, access: Access) -> None:
        kept = self._of(cluster)
        key = access.key.reveal()
        opened = replace(kept, ca=access.ca, certificate=access.certificate, key=key, server=access.server)
        self._save(cluster, opened)

    def numbered(self, cluster: ClusterName, number: int, rng: Rng) -> Secret:
        """A cluster's key of that number: 512 random bits in hex, on the disk before anybody has it."""
        kept = self._of(cluster)
        if number not in kept.numbered:
            kept = replace(kept, numbered={**kept.numbered, number: rng.token(64)})
            self._save(cluster, kept)
        return Secret(kept.numbered[number])

    def issued(self, cluster: ClusterName, now: float) -> Mapping[MachineName, Issued]:
        """Those that are good still."""
        return {name: one for name, one in self._of(cluster).tokens.items() if one.expires > now}

    def issue(self, cluster: ClusterName, token: JoinToken, now: float) -> None:
        """Known before it can be used: whoever comes with it is judged by this."""
        tokens = {**self.issued(cluster, now), token.machine: Issued(id=token.id, expires=token.expires)}
        self._save(cluster, replace(self._of(cluster), tokens=tokens))

    def revoke(self, cluster: ClusterName, machine: MachineName) -> None:
        tokens = {name: one for name, one in self._of(cluster).tokens.items() if name != machine}
        self._save(cluster, replace(self._of(cluster), tokens=tokens))

    def seal(self, cluster: ClusterName, rng: Rng) -> Secret:
        """What its backups are sealed with, made at the first."""
        kept = self._of(cluster)
        if not kept.seal:
            kept = replace(kept, seal=rng.token(32))
            self._save(cluster, kept)
        return Secret(kept.seal)

    def forget(self, cluster: ClusterName) -> None:
        """All but what opens its backups."""
        self._save(cluster, _Kept(seal=self._of(cluster).seal))

    def _of(self, cluster: ClusterName) -> _Kept:
        return self._book.clusters.get(cluster) or _Kept()

    def _save(self, cluster: ClusterName, kept: _Kept) -> None:
        if kept != self._of(cluster):
            self._write({**self._book.clusters, cluster: kept})

    def _write(self, clusters: Mapping[ClusterName, _Kept]) -> None:
        book = _Book(clusters=clusters)
        self._file.save(to_json(book))
        self._book = book
