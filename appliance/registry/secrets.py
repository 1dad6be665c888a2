"""What the registry and whoever speaks with it have to keep: the authority that signs its certificate, and the password
of the account that may write. Made at random at the first start, and kept encrypted, apart from what is served."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from appliance.model.codec import from_json, to_json
from appliance.model.secret import Secret
from appliance.ports import Clock, Rng
from appliance.store.secrets import SecretFile
from pxe.tls import Credential, PrivateKey, make_authority

USER = "innervate"
_PASSWORD_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySecrets:
    """Nodes trust `authority` for as long as they live, so that it stays what it is."""

    authority: Credential
    password: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    certificate: str
    key: str = field(repr=False)
    password: str = field(repr=False)


def kept_secrets(file: SecretFile, site: str, clock: Clock, rng: Rng) -> RegistrySecrets:
    """Raises `MachineryError` where the file cannot be opened."""
    if (data := file.load()) is None:
        made = make_authority(name=f"Innervate {site} registry", now=datetime.fromtimestamp(clock.now(), UTC))
        kept = _Kept(
            certificate=made.certificate.decode(), key=made.key.reveal().decode(), password=rng.token(_PASSWORD_BYTES)
        )
        file.save(to_json(kept))
    else:
        kept = from_json(_Kept, data)
    return RegistrySecrets(
        authority=Credential(certificate=kept.certificate.encode(), key=PrivateKey(kept.key.encode())),
        password=Secret(kept.password),
    )
