"""What Ignition is told of an OKD machine, in specification 3.2.0, as the installer writes it. Pure.

    live.ign     for the live system that installs: it asks for the disk before, and tells the appliance after
    config.ign   for the installed system: what the installer made for its role, host name and report of this machine

Hooks: coreos/coreos-installer, docs/customizing-install.md, "Hooking coreos-installer at boot time". What the installer
made for masters and workers is a pointer to the machine configs at api-int, with the authority of their server; it is
taken over as it is. What it made for the bootstrap machine is merged whole. Both hold secrets.
"""

import gzip
import json
import re
from base64 import b64encode
from dataclasses import dataclass, replace

from appliance.errors import ClusterError
from appliance.model.ids import Nonce
from appliance.model.ignition import (
    Config,
    Directory,
    File,
    Header,
    Merged,
    Resource,
    Storage,
    Systemd,
    Unit,
    Verification,
    inline,
    parse,
    sha512,
)
from appliance.model.okd import MACHINE_CONFIG_PORT, OkdHost, OkdRole, OkdShape, OkdSpec, OkdWay
from appliance.model.secret import Secret
from templates import render

VERSION = "3.2.0"
_THIRD = re.compile(r"3\.\d{1,2}\.\d{1,2}")
LIVE, NODE = "live.ign", "config.ign"
FRESH_SECONDS = 12 * 3600.0
"""The certificates in it end after a day, and the first hours of a cluster need them."""
_STATE, _BIN = "/var/lib/innervate", "/usr/local/bin"
_BEFORE, _AFTER, _REPORT = "innervate-before", "innervate-after", "innervate-report"
_SETTINGS = "/etc/innervate-install"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ear:
    """Where this boot of a machine is heard: `tell` is its own URL (`http://ADDRESS/install/NONCE`), `report` that for
    installed systems."""

    tell: str
    report: str
    nonce: Nonce


def require_fresh(made: float, now: float) -> None:
    """`made`, `now` in seconds since the epoch. Raises `ClusterError` for what is older than 12 hours."""
    age = now - made
    if age > FRESH_SECONDS or age < 0:
        raise ClusterError(
            f"the cluster's Ignition is {age / 3600:.1f} hours old: after 12 nothing is begun with it",
            evidence="the certificates in it end after 24 hours, and a cluster that is beginning needs them for many",
            next_action="plan again: it is made anew, and machines are installed with the new one",
        )


def live_config(spec: OkdSpec, host: OkdHost, ear: Ear, given: Secret | None) -> Config:
    """`given` is what the installer made for a single node, which installs itself from the live system."""
    settings = f"TELL={ear.tell}\nDEVICE={host.device}\nWORD=SCOS is on {host.device}\n"
    if given is not None:
        return _merged(given, "bootstrap-in-place-for-live-iso.ign", _hooks(settings, _single_hooks()))
    return _hooks(settings, _installer_hooks())


def node_config(spec: OkdSpec, host: OkdHost, ear: Ear, given: Secret) -> Config:
    """Raises `SiteError` for what no Ignition is, `ClusterError` for what cannot be of this cluster."""
    own = _own(host, ear)
    if host.role is OkdRole.BOOTSTRAP:
        return _merged(given, "bootstrap.ign", own)
    pointer = parse(json.dumps(_pruned(_json(given.reveal()))), f"{host.role.value}.ign")
    _check_pointer(spec, host, pointer)
    header = replace(pointer.ignition, version=VERSION)
    return Config(ignition=header, passwd=pointer.passwd, storage=own.storage, systemd=own.systemd)


def is_single(spec: OkdSpec) -> bool:
    """Whether its one node installs itself from the live system."""
    return spec.shape is OkdShape.SINGLE and spec.way is OkdWay.UPI


def _check_pointer(spec: OkdSpec, host: OkdHost, pointer: Config) -> None:
    wanted = f"https://{spec.api_inside}:{MACHINE_CONFIG_PORT}/config/{host.role.value}"
    found = [one.source for one in pointer.ignition.config.merge]
    trusted = pointer.ignition.security.tls.certificate_authorities
    if found != [wanted] or not trusted or pointer.ignition.version != VERSION:
        raise ClusterError(
            f"{host.role.value}.ign is no pointer to the machine configs of {spec.zone}",
            evidence=f"specification {pointer.ignition.version}; it names {len(found)} configs and "
            f"{len(trusted)} authorities; {wanted} in {VERSION} was expected",
            next_action="see that installer and install-config are of this cluster; plan again",
        )


def _merged(given: Secret, name: str, own: Config) -> Config:
    """As data: whoever reads it needs no network, and gets no other than this."""
    text = given.reveal()
    _header_of(text, name)
    packed = gzip.compress(text.encode(), mtime=0)
    source = f"data:;base64,{b64encode(packed).decode()}"
    whole = Resource(source=source, compression="gzip", verification=Verification(hash=sha512(text.encode())))
    return replace(own, ignition=Header(version=VERSION, config=Merged(merge=(whole,))))


def _header_of(text: str, name: str) -> str:
    """The specification that it is of: who boots with it reads what comes with its release. Raises `ClusterError`."""
    match _json(text):
        case {"ignition": {"version": str(version)}} if _THIRD.fullmatch(version):
            return version
        case _:
            raise ClusterError(
                f"{name} is no Ignition of specification 3",
                evidence=f"{len(text)} characters",
                next_action="see that the set's openshift-install is the genuine one: innervate set check",
            )


def _json(text: str) -> object:
    try:
        value: object = json.loads(text)
    except ValueError:
        return None
    return value


def _pruned(value: object) -> object:
    """Without what says nothing: some releases write every field, empty ones included."""
    match value:
        case {**fields}:
            kept = {name: _pruned(inner) for name, inner in fields.items()}
            return {name: inner for name, inner in kept.items() if inner not in (None, {}, [])}
        case [*listed]:
            return [_pruned(inner) for inner in listed]
        case _:
            return value


def _own(host: OkdHost, ear: Ear) -> Config:
    settings = f"TELL={ear.tell}\nWORD={host.name} runs from its disk\n"
    written = (
        ("/etc/hostname", f"{host.name}\n", 0o644),
        (f"{_STATE}/report.url", f"{ear.report}\n", 0o600),
        (f"{_STATE}/report.json", f'{{"nonce": "{ear.nonce}"}}\n', 0o600),
        (_SETTINGS, settings, 0o600),
        *((f"{_BIN}/{name}", _script(name), 0o755) for name in (_AFTER, _REPORT)),
    )
    return Config(
        ignition=Header(version=VERSION),
        storage=Storage(directories=(Directory(path=_STATE, mode=0o700),), files=_files(*written)),
        systemd=Systemd(units=(Unit(name=f"{_REPORT}.service", enabled=True, contents=_REPORTS),)),
    )


def _hooks(settings: str, units: tuple[Unit, ...]) -> Config:
    scripts = ((f"{_BIN}/{name}", _script(name), 0o755) for name in (_BEFORE, _AFTER))
    files = _files((_SETTINGS, settings, 0o600), *scripts)
    return Config(ignition=Header(version=VERSION), storage=Storage(files=files), systemd=Systemd(units=units))


def _files(*written: tuple[str, str, int]) -> tuple[File, ...]:
    return tuple(File(path=path, contents=inline(text), mode=mode, overwrite=True) for path, text, mode in written)


def _script(name: str) -> str:
    return render(f"cluster/okd-{name.removeprefix('innervate-')}", {})


def _installer_hooks() -> tuple[Unit, ...]:
    before = _hook(_BEFORE, "coreos-installer-pre.target", "coreos-installer.service", "coreos-installer.service")
    after = _hook(_AFTER, "coreos-installer.service", "coreos-installer.target", "coreos-installer.target")
    return (before, after)


def _single_hooks() -> tuple[Unit, ...]:
    """Its own unit installs, once the cluster's first half is up, and restarts the machine a minute later
    (openshift/installer, bootstrap-in-place, install-to-disk.service): nothing is ordered after its end."""
    before = _hook(_BEFORE, "network-online.target", "install-to-disk.service", "install-to-disk.service")
    return (before, Unit(name=f"{_AFTER}.service", enabled=True, contents=_SINGLE_AFTER))


def _hook(name: str, after: str, before: str, required_by: str) -> Unit:
    contents = f"""\
[Unit]
Description=The appliance's word on this installation ({name})
Wants=network-online.target
After=network-online.target {after}
Before={before}

[Service]
Type=oneshot
RemainAfterExit=yes
EnvironmentFile={_SETTINGS}
ExecStart=/usr/bin/bash {_BIN}/{name}

[Install]
RequiredBy={required_by}
"""
    return Unit(name=f"{name}.service", enabled=True, contents=contents)


_SINGLE_AFTER = f"""\
[Unit]
Description=The appliance's word on this installation ({_AFTER})
Wants=network-online.target
After=network-online.target

[Service]
EnvironmentFile={_SETTINGS}
ExecStartPre=/usr/bin/bash -c 'until [ -e /opt/openshift/.install-to-disk.done ]; do sleep 2; done'
ExecStart=/usr/bin/bash {_BIN}/{_AFTER}
TimeoutStartSec=infinity

[Install]
WantedBy=multi-user.target
"""
_REPORTS = f"""\
[Unit]
Description=Report to the appliance
Wants=network-online.target sshd-keygen.target
After=network-online.target sshd-keygen.target
ConditionPathExists=!{_STATE}/reported

[Service]
Type=oneshot
EnvironmentFile={_SETTINGS}
ExecStart=/usr/bin/bash {_BIN}/{_AFTER}
ExecStart=/usr/bin/bash {_BIN}/{_REPORT}

[Install]
WantedBy=multi-user.target
"""
