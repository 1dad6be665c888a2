"""A container host's side of its applications: jobs and questions for it. Pure.

Each job may be begun anew where it was cut off: what has been done already stays as it is. Nothing is stopped before
all images are there and podman's own generator has read the units.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256

from appliance.errors import SiteError
from appliance.hosting import account as accounts
from appliance.hosting.account import Account
from appliance.hosting.units import LABEL, Unit
from appliance.model.application import AppName
from appliance.model.codec import to_json
from appliance.model.hosted import DeployHosted, HostedSpec, PrepareHost
from appliance.model.secret import Secret
from appliance.nodes.job import Act, Job, TextFile, of_content
from appliance.nodes.packages import fetched, installed
from images.artifact_set import ArtifactSet

STATE = "/var/lib/innervate/applications"
UNITS = "/etc/containers/systemd"
FOLDER = f"{UNITS}/innervate-"
"""Begins the folder of an application's units."""
PACKAGE = "package"
"""The role of a set's files."""
_PACKAGES = "/var/cache/innervate/podman"
_QUIET = ("podman.socket", "podman-auto-update.timer")
"""Nobody has asked for these."""
_GENERATOR = "/usr/lib/systemd/system-generators/podman-system-generator"


def prepare(do: PrepareHost, artifacts: ArtifactSet, authority: str) -> Job:
    """`authority` is the certificate (PEM) by which the registry is known. Raises `SiteError` for a set without
    packages."""
    packages = fetched(artifacts.of_role(PACKAGE), _PACKAGES)
    if not packages:
        raise SiteError(
            f"the artifact set {artifacts.name} has no packages",
            next_action="import a set that is whole: ./run image podman makes one",
        )
    job = Job(
        name="host-prepare",
        mark="",
        downloads=packages,
        files=(
            TextFile(path="/etc/containers/policy.json", text=_policy(do.registry)),
            TextFile(path="/etc/containers/registries.conf.d/innervate.conf", text=_NO_SEARCH),
            TextFile(path=f"/etc/containers/certs.d/{do.registry}/ca.crt", text=authority),
        ),
        acts=(
            installed(packages),
            _shell(_SILENCE, "holding services back that nobody has asked for", *_QUIET),
        ),
    )
    return of_content(job)


def deploy(app: HostedSpec, units: Sequence[Unit], images: Iterable[str], kept: Account) -> Job:
    """`images` as the host pulls them. `kept` is what the account is to say meanwhile."""
    own = f"{STATE}/{app.name}/new"
    files = [unit.file for unit in units]
    return replace(
        deployed(app, units),
        files=(
            TextFile(path=f"{STATE}/{app.name}.json", text=accounts.text(kept)),
            *(TextFile(path=f"{own}/{unit.file}", text=unit.text) for unit in units),
        ),
        acts=(
            Act(argv=("rm", "-f", f"/var/lib/innervate/jobs/{deployed(app, units).name}"), says="beginning"),
            *(_shell(_PULL, f"fetching {image.partition('@')[0]}", image) for image in images),
            _shell(_READ, "reading the units", own, _GENERATOR, *files),
            _shell(_TOOLS + _PLACE, "placing the units", *_places(app.name), *files),
            _shell(_TOOLS + _START, "starting what has changed", *_places(app.name), *files),
        ),
    )


def deployed(app: HostedSpec, units: Sequence[Unit]) -> Job:
    """The job that deploys without what it does: its name and mark, to look at it by."""
    told = [(unit.file, unit.sha256) for unit in units]
    mark = sha256(to_json(DeployHosted(app=app)) + json.dumps(told).encode()).hexdigest()
    return Job(name=f"deploy-{app.name}", mark=mark)


def retire(name: AppName, images: Sequence[str], *, keeps_data: bool) -> Job:
    words = (*_places(name), f"{LABEL}={name}", "keep" if keeps_data else "remove", *images)
    return replace(
        retired(name, keeps_data=keeps_data),
        acts=(_shell(_TOOLS + _RETIRE, f"taking {name} away", *words),),
    )


def retired(name: AppName, *, keeps_data: bool) -> Job:
    """As `deployed`, of the job that takes away. The next one that deploys takes its mark away."""
    return Job(name=f"retire-{name}", mark="keeps data" if keeps_data else "all of it")


def forget(kept: Account, images: Sequence[str]) -> tuple[tuple[str, ...], Secret]:
    """argv and its input: these images go, and the account is the one that is given."""
    return ("sh", "-c", _FORGET, "sh", f"{STATE}/{kept.name}.json", *images), Secret(accounts.text(kept))


def ask(services: Sequence[str] = (), *, whole: bool = False) -> tuple[str, ...]:
    """Prints what `words.sight` reads: networks, volumes and images if `whole`. `services` are those that may be
    somebody else's."""
    return ("sh", "-c", _ASK, "sh", STATE, UNITS, LABEL, "whole" if whole else "", *services)


def _places(name: AppName) -> tuple[str, str]:
    return f"{FOLDER}{name}", f"{STATE}/{name}"


def _shell(text: str, says: str, *words: str) -> Act:
    return Act(argv=("sh", "-c", text, "sh", *words), says=says)


def _policy(registry: str) -> str:
    """containers-policy.json(5): images are taken from there, by digests that the site program has named."""
    allowed = {"docker": {registry: [{"type": "insecureAcceptAnything"}]}}
    return json.dumps({"default": [{"type": "reject"}], "transports": allowed}, indent=1) + "\n"


_NO_SEARCH = """\
unqualified-search-registries = []
short-name-mode = "enforcing"
"""

_SILENCE = 'systemctl disable --quiet --now "$@" && podman info >/dev/null'

_PULL = """\
podman image exists "$1" || podman pull --quiet "$1" || podman pull --quiet "$1"
"""

# What is left of a job that was cut off goes first; then podman's generator says what it thinks of the rest.
_READ = """\
set -eu
new=$1 generator=$2
shift 2
for path in "$new"/*; do
    case " $* " in *" ${path##*/} "*) ;; *) rm -f "$path" ;; esac
done
said=$(QUADLET_UNIT_DIRS="$new" "$generator" --dryrun 2>&1) || {
    printf '%s\\n' "$said" | grep -i 'error\\|converting\\|unsupported' | head -n 5
    exit 1
}
"""

# As `units.service_of`.
_SERVICE = """\
service() {
    case $1 in
        *.container) echo "${1%.container}.service" ;;
        *) echo "${1%.*}-${1##*.}.service" ;;
    esac
}
"""

# A container that does not become well is still being started: what is asked of its unit then waits, until the start is
# taken back and the container is gone.
_TOOLS = (
    _SERVICE
    + """\
set -eu
units=$1 state=$2
shift 2
stop() {
    systemctl stop --no-block "$(service "$1")" 2>/dev/null || return 0
    case $1 in
        *.container) podman rm --force --ignore --volumes --time 10 "systemd-${1%.container}" >/dev/null ;;
    esac
    systemctl stop "$(service "$1")"
    case $1 in
        *.network) podman network rm --force "systemd-${1%.network}" >/dev/null ;;
    esac
    systemctl reset-failed "$(service "$1")" 2>/dev/null || :
}
each() {
    for path in "$units"/*".$1"; do
        [ ! -e "$path" ] || echo "${path##*/}"
    done
}
"""
)

_PLACE = """\
mkdir -p "$units" "$state/started"
rm -f "/var/lib/innervate/jobs/retire-${state##*/}"
for kind in container network volume; do
    for file in $(each $kind); do
        case " $* " in *" $file "*) continue ;; esac
        stop "$file"
        rm -f "$units/$file" "$state/started/$file"
    done
done
for file; do
    cmp -s "$state/new/$file" "$units/$file" && continue
    cp "$state/new/$file" "$units/.part"
    mv "$units/.part" "$units/$file"
done
sync
systemctl daemon-reload
"""

# Noted is what a unit was started with: a job that was cut off between placing and starting starts it all the same.
_START = """\
all=
changed() { [ "$(sha256sum <"$units/$1")" != "$(cat "$state/started/$1" 2>/dev/null)" ]; }
for file in $(each network) $(each volume); do
    if changed "$file"; then all=yes; fi
done
start=
for file in $(each container); do
    if [ -n "$all" ] || changed "$file" || ! systemctl is-active --quiet "$(service "$file")"; then
        stop "$file"
        start="$start $(service "$file")"
    fi
done
for file in $(each network) $(each volume); do
    if changed "$file"; then stop "$file"; fi
done
[ -z "$start" ] || systemctl start --no-block $start
for file; do sha256sum <"$units/$file" >"$state/started/$file"; done
"""

_RETIRE = """\
label=$1 data=$2
shift 2
for kind in container network volume; do
    for file in $(each $kind); do stop "$file"; done
done
rm -rf "$units"
systemctl daemon-reload
podman ps --all --quiet --filter "label=$label" | xargs -r podman rm --force --volumes >/dev/null
podman network ls --quiet --filter "label=$label" | xargs -r podman network rm --force >/dev/null
[ "$data" = keep ] || podman volume ls --quiet --filter "label=$label" | xargs -r podman volume rm --force >/dev/null
for image; do podman rmi "$image" >/dev/null 2>&1 || :; done
rm -rf "$state" "/var/lib/innervate/jobs/deploy-${state##*/}" "$state.json"
"""

_FORGET = """\
set -eu
account=$1
shift
for image; do podman rmi "$image" >/dev/null 2>&1 || :; done
cat >"$account.part"
mv "$account.part" "$account"
"""

_ASK = (
    _SERVICE
    + """\
state=$1 units=$2 label=$3 whole=$4
shift 4
for file in "$state"/*.json; do
    [ ! -e "$file" ] || { printf 'account='; head -c 65536 "$file" | tr -d '\\n'; echo; }
done
find "$units" -type f -exec sha256sum {} + 2>/dev/null | sed 's/^/file=/'
for file in "$units"/innervate-*/*; do
    [ -e "$file" ] || continue
    case $file in
        *.container | *.network | *.volume) set -- "$@" "$(service "${file##*/}")" ;;
    esac
done
[ $# = 0 ] || systemctl show --property=Id,LoadState,ActiveState,SubState,SourcePath,ActiveEnterTimestampMonotonic "$@"
echo
sed 's/ .*//; s/^/uptime=/' /proc/uptime
command -v podman >/dev/null || exit 0
own='{{index .Labels "'$label'"}}'
podman ps --all --filter "label=$label" --format "container=$own {{.Names}} {{.Status}}"
[ -n "$whole" ] || exit 0
podman network ls --filter "label=$label" --format "network=$own {{.Name}}"
podman volume ls --filter "label=$label" --format "volume=$own {{.Name}}"
podman images --format 'image={{.Repository}}@{{.Digest}}'
"""
)
