"""Compose files as Deployments and Services: what means the same on a cluster, and not one key more. Pure.

https://github.com/compose-spec/compose-spec/blob/main/spec.md; keys that begin with `x-` are nobody's to read there.

A service listens on its containers' ports, by which its neighbours call it, and on the ports that it publishes.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from images.application.documents import Document, Value, refused
from images.errors import PackageError

_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_PORT = re.compile(r"(?:(?P<published>\d{1,5}):)?(?P<target>\d{1,5})(?:/(?P<protocol>tcp|udp))?")
_USER = re.compile(r"(?P<uid>\d{1,10})(?::(?P<gid>\d{1,10}))?")
_SPAN = re.compile(r"(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?(?:(?P<seconds>\d+)s)?")
_SIZE = re.compile(r"(?P<count>\d+)(?P<unit>b|k|kb|m|mb|g|gb)?", re.IGNORECASE)
_CPUS = re.compile(r"\d+(\.\d{1,3})?")
_PORTS = range(1, 65536)
_RESTARTS = ("always", "unless-stopped")
_UNITS = {"": "", "b": "", "k": "Ki", "m": "Mi", "g": "Gi"}
_ASIDE = "x-"

Object = dict[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """A value, and how it is reached: `services.web.ports`."""

    path: str
    name: str
    value: Value
    where: str

    def refused(self, what: str, next_action: str = "write it as a manifest of Kubernetes") -> PackageError:
        return refused(f"{self.where}: {self.path}", what, repr(self.value), next_action)

    def below(self, name: str, value: Value) -> "_Key":
        return _Key(path=f"{self.path}.{name}" if self.path else name, name=name, value=value, where=self.where)

    def mapping(self) -> Iterator["_Key"]:
        if not isinstance(self.value, dict):
            raise self.refused("not a mapping", "write it as one")
        return (self.below(name, value) for name, value in self.value.items() if not name.startswith(_ASIDE))

    def items(self) -> Iterator["_Key"]:
        if not isinstance(self.value, list):
            raise self.refused("not a list", "write it as one")
        rows = enumerate(self.value)
        return (_Key(path=f"{self.path}[{at}]", name="", value=one, where=self.where) for at, one in rows)

    def text(self) -> str:
        """Without variables: what they stand for would be another thing on each machine."""
        if isinstance(self.value, bool) or not isinstance(self.value, str | int | float):
            raise self.refused("not a text", "quote it")
        text = str(self.value)
        if "$" in text.replace("$$", ""):
            raise self.refused("it has a variable", "write what it stands for; $$ is a dollar sign")
        return text.replace("$$", "$")

    def matched(self, pattern: re.Pattern[str], wanted: str) -> re.Match[str]:
        if (found := pattern.fullmatch(self.text())) is None:
            raise self.refused("not of that form", wanted)
        return found

    def number(self) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int) or self.value < 0:
            raise self.refused("not a number", "write it without quotes")
        return self.value

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.refused("neither true nor false", "correct it")
        return self.value


def translated(document: Document, application: str) -> tuple[Document, ...]:
    """For each service a Service, where it has ports, and a Deployment. Raises `PackageError` with file, line of the
    document and key."""
    found = list[Object]()
    for key in _Key(path="", name="", value=dict(document.value), where=document.where).mapping():
        match key.name:
            case "services":
                found += [made for service in key.mapping() for made in _service(service, application)]
            case "name" if key.value == application:
                continue
            case _:
                raise key.refused("not understood")
    return tuple(Document(value=value, where=document.where) for value in found)


@dataclass(kw_only=True)
class _Made:
    """A pod that is being put together."""

    name: str
    container: Object
    pod: Object
    ports: dict[tuple[int, str], int]
    replicas: int = 1


def _service(key: _Key, application: str) -> Iterator[Object]:
    if not _LABEL.fullmatch(name := key.name):
        raise key.refused("not the name of a Service", "use small letters, digits and hyphens")
    made = _Made(name=name, container={"name": name}, pod={}, ports={})
    for one in key.mapping():
        if (read := _KEYS.get(one.name)) is None:
            raise one.refused(_WHY.get(one.name, "not understood"))
        read(one, made)
    if "image" not in made.container:
        raise key.refused("no image", "name one of [images]: image = ...")
    labels: Object = {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": application}
    if made.ports:
        yield _listening(made, labels)
    yield _deployment(made, labels)


def _listening(made: _Made, labels: Object) -> Object:
    rows: list[Value] = [
        {"name": f"{protocol}-{port}", "port": port, "protocol": protocol.upper(), "targetPort": target}
        for (port, protocol), target in sorted(made.ports.items())
    ]
    metadata: Object = {"name": made.name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": rows, "selector": labels}}


def _deployment(made: _Made, labels: Object) -> Object:
    opened: list[Value] = [
        {"containerPort": target, "protocol": protocol.upper()}
        for target, protocol in sorted({(target, protocol) for (_, protocol), target in made.ports.items()})
    ]
    if opened:
        made.container["ports"] = opened
    made.pod["containers"] = [made.container]
    template: Object = {"metadata": {"labels": labels}, "spec": made.pod}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": made.name, "labels": labels},
        "spec": {"replicas": made.replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def _image(key: _Key, made: _Made) -> None:
    made.container["image"] = key.text()


def _words(key: _Key) -> list[Value]:
    if isinstance(key.value, list):
        return [one.text() for one in key.items()]
    return list(shlex.split(key.text()))


def _entrypoint(key: _Key, made: _Made) -> None:
    made.container["command"] = _words(key)


def _command(key: _Key, made: _Made) -> None:
    made.container["args"] = _words(key)


def _environment(key: _Key, made: _Made) -> None:
    stated = dict(_variables(key))
    made.container["env"] = [{"name": name, "value": value} for name, value in sorted(stated.items())]


def _variables(key: _Key) -> Iterator[tuple[str, str]]:
    if isinstance(key.value, list):
        for one in key.items():
            name, equals, value = one.text().partition("=")
            yield _variable(one, name), value if equals else _valueless(one)
    else:
        for one in key.mapping():
            yield (
                _variable(one, one.name),
                _valueless(one) if one.value is None else one.text(),
            )


def _variable(key: _Key, name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise key.refused("not the name of a variable", "correct it")
    return name


def _valueless(key: _Key) -> str:
    raise key.refused("no value", "write it: it would be taken from whoever starts it")


def _ports(key: _Key, made: _Made) -> None:
    for one in key.items():
        published, target, protocol = _long(one) if isinstance(one.value, dict) else _short(one)
        for port in (target, published or target):
            if port not in _PORTS:
                raise one.refused("not a port", "use 1 to 65535")
            if made.ports.setdefault((port, protocol), target) != target:
                raise one.refused(f"two things at port {port}", "publish it elsewhere: neighbours call it there")


def _short(key: _Key) -> tuple[int, int, str]:
    found = key.matched(_PORT, "write PUBLISHED:TARGET, without addresses and ranges")
    return int(found["published"] or 0), int(found["target"]), found["protocol"] or "tcp"


def _long(key: _Key) -> tuple[int, int, str]:
    stated = {one.name: one for one in key.mapping()}
    if odd := [one for name, one in stated.items() if name not in {"target", "published", "protocol"}]:
        raise odd[0].refused("not understood")
    if "target" not in stated:
        raise key.refused("no target", "say the container's port")
    protocol = stated["protocol"].text() if "protocol" in stated else "tcp"
    published = stated["published"].text() if "published" in stated else "0"
    if protocol not in {"tcp", "udp"} or not published.isdecimal():
        raise key.refused("not a port", "give a number, and tcp or udp")
    return int(published), stated["target"].number(), protocol


def _user(key: _Key, made: _Made) -> None:
    found = key.matched(_USER, 'write UID or UID:GID, as "65534:65534"')
    said: Object = {"runAsUser": int(found["uid"])}
    made.pod["securityContext"] = said | ({"runAsGroup": int(found["gid"])} if found["gid"] else {})


def _folder(key: _Key, made: _Made) -> None:
    made.container["workingDir"] = key.text()


def _read_only(key: _Key, made: _Made) -> None:
    made.container["securityContext"] = {"readOnlyRootFilesystem": key.flag()}


def _tmpfs(key: _Key, made: _Made) -> None:
    paths = [one.text() for one in key.items()] if isinstance(key.value, list) else [key.text()]
    if odd := [path for path in paths if not path.startswith("/") or ":" in path]:
        raise key.refused(f"not a path: {odd[0][:60]}", "write the path alone")
    names: list[tuple[str, str]] = [(f"tmpfs-{at}", path) for at, path in enumerate(paths)]
    made.pod["volumes"] = [{"name": name, "emptyDir": {"medium": "Memory"}} for name, _ in names]
    made.container["volumeMounts"] = [{"name": name, "mountPath": path} for name, path in names]


def _restart(key: _Key, made: _Made) -> None:
    """What a Deployment does anyway."""
    if key.value not in _RESTARTS:
        raise key.refused("a Deployment starts what ends, always", f"use one of {', '.join(_RESTARTS)}")


def _grace(key: _Key, made: _Made) -> None:
    made.pod["terminationGracePeriodSeconds"] = _seconds(key)


def _seconds(key: _Key) -> int:
    found = key.matched(_SPAN, "write it as 1m30s")
    if not key.text():
        raise key.refused("no time", "write it as 1m30s")
    return int(found["hours"] or 0) * 3600 + int(found["minutes"] or 0) * 60 + int(found["seconds"] or 0)


def _health(key: _Key, made: _Made) -> None:
    """Whoever is not well gets no connections, and is started anew: a probe of each kind."""
    probe: Object = {}
    for one in key.mapping():
        match one.name:
            case "test":
                probe["exec"] = {"command": _test(one)}
            case "interval":
                probe["periodSeconds"] = _seconds(one)
            case "timeout":
                probe["timeoutSeconds"] = _seconds(one)
            case "retries":
                probe["failureThreshold"] = one.number()
            case "start_period":
                probe["initialDelaySeconds"] = _seconds(one)
            case _:
                raise one.refused("not understood")
    if "exec" not in probe:
        raise key.refused("no test", "say what is run")
    made.container |= {"readinessProbe": probe, "livenessProbe": probe}


def _test(key: _Key) -> list[Value]:
    if not isinstance(key.value, list):
        return ["/bin/sh", "-c", key.text()]
    match _words(key):
        case ["CMD", _, *_] as words:
            return words[1:]
        case ["CMD-SHELL", str(line)]:
            return ["/bin/sh", "-c", line]
        case _:
            raise key.refused("not a test", 'begin it with "CMD" or "CMD-SHELL"')


def _deploy(key: _Key, made: _Made) -> None:
    for one in key.mapping():
        match one.name:
            case "replicas":
                made.replicas = one.number()
            case "resources":
                made.container["resources"] = dict(_resources(one))
            case _:
                raise one.refused("not understood")


def _resources(key: _Key) -> Iterator[tuple[str, Value]]:
    named = {"limits": "limits", "reservations": "requests"}
    for one in key.mapping():
        if one.name not in named:
            raise one.refused("not understood")
        yield named[one.name], dict(map(_amount, one.mapping()))


def _amount(key: _Key) -> tuple[str, Value]:
    match key.name:
        case "cpus":
            return "cpu", key.matched(_CPUS, "write it as 0.5")[0]
        case "memory":
            found = key.matched(_SIZE, "write it as 64M")
            return "memory", found["count"] + _UNITS[(found["unit"] or "").lower()[:1]]
        case _:
            raise key.refused("not understood")


_KEYS: Mapping[str, Callable[[_Key, _Made], None]] = {
    "command": _command,
    "deploy": _deploy,
    "entrypoint": _entrypoint,
    "environment": _environment,
    "healthcheck": _health,
    "image": _image,
    "ports": _ports,
    "read_only": _read_only,
    "restart": _restart,
    "stop_grace_period": _grace,
    "tmpfs": _tmpfs,
    "user": _user,
    "working_dir": _folder,
}
_WHY = {
    "build": "images are made by [images.NAME] of application.toml",
    "depends_on": "a cluster starts everything at once: what needs another has to wait for it",
    "env_file": "what is in that file belongs into environment",
    "volumes": "how large a volume is, and where it lies, compose does not say",
}
