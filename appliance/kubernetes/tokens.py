"""Join tokens: each one machine's, short-lived, and worth nothing without the appliance's approval. Pure.

Kubernetes documentation, "Authenticating with Bootstrap Tokens".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from appliance.model.ids import MachineName
from appliance.model.secret import Secret
from appliance.ports import Rng

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
SECONDS = 1800.0
_JOINS = "system:bootstrappers:kubeadm:default-node-token"
"""May read what a node has to know of the cluster, and ask for a certificate; kubeadm makes it so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinToken:
    """`expires` in seconds since the epoch."""

    id: str
    secret: Secret
    machine: MachineName
    expires: float

    @property
    def text(self) -> Secret:
        return Secret(f"{self.id}.{self.secret.reveal()}")

    def manifest(self) -> Mapping[str, object]:
        """As the Secret that makes it valid; in the clear."""
        expires = datetime.fromtimestamp(self.expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "bootstrap.kubernetes.io/token",
            "metadata": {"name": f"bootstrap-token-{self.id}", "namespace": "kube-system"},
            "stringData": {
                "description": f"for {self.machine} alone",
                "token-id": self.id,
                "token-secret": self.secret.reveal(),
                "expiration": expires,
                "usage-bootstrap-authentication": "true",
                "usage-bootstrap-signing": "true",
                "auth-extra-groups": _JOINS,
            },
        }


def fresh(machine: MachineName, rng: Rng, now: float) -> JoinToken:
    """6 and 16 of 36 characters; the second has 82 bits."""
    letters = [ALPHABET[byte % len(ALPHABET)] for byte in _even(rng)]
    return JoinToken(
        id="".join(letters[:6]), secret=Secret("".join(letters[6:22])), machine=machine, expires=now + SECONDS
    )


def _even(rng: Rng) -> list[int]:
    """Bytes of which none makes a letter likelier than another."""
    bound = 256 - 256 % len(ALPHABET)
    found = list[int]()
    while len(found) < 22:
        found += [byte for byte in bytes.fromhex(rng.token(32)) if byte < bound]
    return found
