"""Slurm's way onto machines, as jobs for them. Pure.

Each job may be begun anew where it was cut off: what has been done already stays as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256

from appliance.errors import SiteError
from appliance.model.cluster import SetRef
from appliance.model.codec import to_json
from appliance.model.ids import MachineName
from appliance.model.secret import Secret
from appliance.model.slurm import JoinSlurm, LeaveSlurm, PrepareSlurm, ServeSlurm, SlurmHome, SlurmRole
from appliance.nodes.job import Act, Job, TextFile, of_content
from appliance.nodes.packages import fetched, installed
from appliance.slurm import conf
from images.artifact_set import ArtifactSet, SetFile

PACKAGE, CONTROLLER, WORKER = "package", "slurmctld", "slurmd"
"""Roles of a set's files: what every machine needs, and what one kind of them needs beside that."""
KEY = "/etc/munge/munge.key"
CONF = "/etc/slurm/slurm.conf"
NODE_CONF = "/run/slurm/conf/slurm.conf"
"""Where slurmd keeps what it was given."""
MARK = "innervate:"
"""Begins the reason of each drain that is ours."""
_PACKAGES = "/var/cache/innervate/slurm"
_SERVICES = ("munge.service", "slurmctld.service", "slurmd.service")
_SERVE, _JOIN, _PREPARE, _LEAVE = "slurm-serve", "slurm-join", "slurm-prepare", "slurm-leave"


class Slurm:
    """`described` is the artifact set that a reference names."""

    def __init__(self, described: Callable[[SetRef], ArtifactSet]) -> None:
        self._described = described

    def prepare(self, do: PrepareSlurm) -> Job:
        """Services are masked meanwhile: a package would start its own with a key of its own."""
        packages = fetched(_packages(self._described(do.home.set), do.role), _PACKAGES)
        job = Job(
            name=_PREPARE,
            mark="",
            downloads=packages,
            acts=(
                Act(argv=("systemctl", "mask", "--runtime", "--quiet", *_SERVICES), says="holding services back"),
                installed(packages),
                Act(argv=("systemctl", "unmask", "--runtime", "--quiet", *_SERVICES), says="letting services go"),
            ),
        )
        return of_content(job)

    def serve(self, do: ServeSlurm, name: MachineName, key: Secret) -> Job:
        spec = do.spec
        stamp = sha256(to_json((spec.home, spec.state))).hexdigest()
        return replace(
            self.served(do, name),
            files=(
                TextFile(path=KEY, text=key, mode="0400"),
                TextFile(path="/etc/slurm/gres.conf", text=conf.gres_conf(spec)),
                TextFile(path="/etc/slurm/cgroup.conf", text=conf.CGROUP),
                TextFile(path=CONF, text=conf.slurm_conf(spec)),
            ),
            acts=(
                _shell(_MUNGE, "the key of the cluster", KEY),
                _shell(_SLURMCTLD, "slurmctld with its configuration", spec.state, stamp),
                _forget(_SERVE),
            ),
        )

    def join(self, do: JoinSlurm, name: MachineName, key: Secret) -> Job:
        return replace(
            self.joined(do, name),
            files=(
                TextFile(path=KEY, text=key, mode="0400"),
                TextFile(path="/etc/default/slurmd", text=conf.slurmd_options(do.home)),
            ),
            acts=(
                _shell(_DEVICES, "looking for devices", *do.devices),
                _shell(_MUNGE, "the key of the cluster", KEY),
                _shell(_SLURMD, f"joining {do.home.name}", name, MARK),
                _forget(_JOIN),
            ),
        )

    def leave(self, do: LeaveSlurm, name: MachineName) -> Job:
        marks = [f"/var/lib/innervate/jobs/{job}" for job in (_SERVE, _JOIN, _PREPARE)]
        scripts = [f"/run/innervate/jobs/{job}" for job in (_SERVE, _JOIN)]
        return replace(
            self.left(do, name),
            acts=(_shell(_AWAY, f"leaving {do.home.name}", KEY, *marks, *scripts),),
        )

    def served(self, do: ServeSlurm, name: MachineName) -> Job:
        """The job that serves without what it does: its name and mark, to look at it by."""
        return Job(name=_SERVE, mark=_mark(do, name))

    def joined(self, do: JoinSlurm, name: MachineName) -> Job:
        """As `served`, of the job that joins."""
        return Job(name=_JOIN, mark=_mark(do, name))

    def left(self, do: LeaveSlurm, name: MachineName) -> Job:
        """As `served`, of the job that leaves."""
        return Job(name=_LEAVE, mark=_mark(do, name))


def ask_nodes() -> tuple[str, ...]:
    """Prints what `words.nodes` reads: a line for each node."""
    return ("scontrol", "--oneliner", "show", "nodes")


def ask_conf() -> tuple[str, ...]:
    """Prints the SHA-256 of a controller's configuration first."""
    return ("sha256sum", CONF)


def ask_node_conf() -> tuple[str, ...]:
    """As `ask_conf`, of what slurmd was given."""
    return ("sha256sum", NODE_CONF)


def ask_left() -> tuple[str, ...]:
    """Prints what of a cluster is on the machine: a line for each thing, none where it has left."""
    return ("sh", "-c", _LEFT, "sh", KEY)


def ask_controllers() -> tuple[str, ...]:
    """Prints what `words.silent` reads; its status says whether one of them answers, and is no reason to stop."""
    return ("sh", "-c", "scontrol ping || :")


def drain(node: MachineName) -> tuple[str, ...]:
    return ("scontrol", "update", f"nodename={node}", "state=drain", f"reason={MARK} to be changed or taken out")


def try_nodes(home: SlurmHome, partition: str, nodes: Sequence[str]) -> tuple[str, ...]:
    """A job on each of these: prints what `words.answers` reads."""
    limits = ("--immediate=30", "--time=1", "--quiet", "--overcommit", f"--job-name={MARK}{home.name}")
    listed = (f"--nodes={len(nodes)}", f"--nodelist={','.join(nodes)}", "--ntasks-per-node=1")
    told = (*limits, f"--partition={partition}", *listed, "sh", "-c", _ANSWER, "sh", NODE_CONF)
    return ("timeout", "--kill-after=10", "50", "srun", *told)


def _packages(artifacts: ArtifactSet, role: SlurmRole) -> tuple[SetFile, ...]:
    """Raises SiteError for a set that lacks the program of that role."""
    own = CONTROLLER if role is SlurmRole.CONTROLLER else WORKER
    if not artifacts.of_role(own):
        raise SiteError(
            f"the artifact set {artifacts.version} has no {own}",
            evidence=", ".join(sorted({file.role for file in artifacts.files})),
            next_action="import a set that is whole: ./run image slurm makes one",
        )
    return (*artifacts.of_role(PACKAGE), *artifacts.of_role(own))


def _mark(do: ServeSlurm | JoinSlurm | LeaveSlurm, name: MachineName) -> str:
    return sha256(name.encode() + b"\n" + to_json(do)).hexdigest()


def _shell(text: str, says: str, *words: str) -> Act:
    return Act(argv=("sh", "-c", text, "sh", *words), says=says)


def _forget(job: str) -> Act:
    """Its script has the key in it; the shell that reads it has it open still."""
    return Act(argv=("rm", "-f", f"/run/innervate/jobs/{job}/run"), says="done")


_ANSWER = 'echo "$(hostname --short) $(sha256sum <"$1")"'

_DEVICES = """\
for file; do
    [ -c "$file" ] || { echo "$file is not there: has the image the driver of this GPU?"; exit 1; }
done
"""

# What munged read is the key of then: it is started anew where the key is another one.
_MUNGE = """\
set -eu
chown munge:munge "$1"
now=$(sha256sum <"$1") stamp=/run/innervate/munge.key.sha256
systemctl enable --quiet munge.service
if ! systemctl is-active --quiet munge.service || [ "$(cat $stamp 2>/dev/null)" != "$now" ]; then
    systemctl restart munge.service
    (umask 077; echo "$now" >$stamp)
fi
munge --no-input | unmunge >/dev/null
"""

# A running slurmctld takes nodes and partitions from its file; version, peers and folder only when it starts.
_SLURMCTLD = """\
set -eu
stamp=/run/innervate/slurmctld.stamp
mkdir -p "$1"
chown slurm:slurm "$1"
chmod 700 "$1"
systemctl disable --quiet --now slurmd.service 2>/dev/null || :
systemctl enable --quiet slurmctld.service
if systemctl is-active --quiet slurmctld.service && [ "$(cat $stamp 2>/dev/null)" = "$2" ]; then
    timeout 120 scontrol reconfigure
else
    systemctl restart slurmctld.service
    echo "$2" >$stamp
fi
"""

# Jobs go on while slurmd starts anew. A node that came back by itself, or was drained by us, takes jobs again; what a
# person has taken out stays out.
_SLURMD = """\
set -eu
systemctl disable --quiet --now slurmctld.service 2>/dev/null || :
rm -f /etc/slurm/slurm.conf /etc/slurm/gres.conf /etc/slurm/cgroup.conf
systemctl enable --quiet slurmd.service
systemctl restart slurmd.service
said=$(timeout 60 scontrol --oneliner show node "$1")
case $said in
    *"Reason=$2"* | *"Reason=Not responding"* | *"Reason=Node unexpectedly rebooted"*)
        timeout 60 scontrol update "nodename=$1" state=resume ;;
esac
"""

_LEFT = """\
[ ! -e "$1" ] || echo "$1"
for unit in munge slurmd slurmctld; do
    if systemctl is-active --quiet "$unit.service"; then echo "$unit"; fi
done
"""

_AWAY = """\
set -eu
key=$1
shift
for unit in slurmd slurmctld munge; do
    systemctl disable --quiet --now "$unit.service" 2>/dev/null || ! systemctl is-active --quiet "$unit.service"
done
[ ! -e "$key" ] || shred --force --remove=unlink "$key"
rm -rf /etc/default/slurmd /etc/slurm/*.conf /run/innervate/*.stamp /run/innervate/munge.key.sha256 "$@"
rm -rf /var/lib/slurm/slurmd/* /var/cache/innervate/slurm
[ ! -e "$key" ]
"""
