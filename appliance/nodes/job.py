"""A job: files and commands for an installed machine, as one script that its systemd runs to the end. Pure.

The machine goes on while nobody looks, and while the appliance is not there. Three things tell how far it is: the
state of the unit (systemd.unit(5)), the word that the script left last, and the mark that it leaves when all is done.
The mark is of the job as it was wanted: another version of it is another mark, and the same one is not done twice.
"""

import shlex
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from hashlib import sha256

from appliance.model.secret import Secret
from appliance.model.text import clean

_FOLDER, _MARKS = "/run/innervate/jobs", "/var/lib/innervate/jobs"
_WORD_LIMIT, _LOG_LIMIT = 150, 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file of the appliance's, by its SHA-256; `mode` as chmod reads it."""

    sha256: str
    path: str
    mode: str = "0644"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    path: str
    text: str | Secret
    mode: str = "0644"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A command; `says` is what people read while it runs. What `argv` prints is the log."""

    argv: tuple[str, ...]
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`name` is a word (`kubeadm-join`), `mark` a digest. What is downloaded comes first, then files, then acts."""

    name: str
    mark: str
    downloads: tuple[Download, ...] = ()
    files: tuple[TextFile, ...] = ()
    acts: tuple[Act, ...] = ()


class State(Enum):
    """Of the job's unit."""

    NONE = "none"
    AT_WORK = "at work"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """`word`: what it was or is about; `log`: the end of what it printed."""

    mark: str
    state: State
    word: str = ""
    log: str = ""


def of_content(job: Job) -> Job:
    """The same, with a mark of all that it does."""
    return replace(job, mark=sha256(script(job, "").reveal().encode()).hexdigest())


def script(job: Job, files: str) -> Secret:
    """For sh. `files` is the URL below which the appliance serves files by SHA-256."""
    return Secret("\n".join((*_head(job), *_lines(job, files.rstrip("/")), *_tail(job), "")))


def begin(job: Job) -> tuple[str, ...]:
    """argv that takes the script on standard input. A job of that name that runs is left alone."""
    return ("sh", "-c", _BEGIN, "sh", job.name, _FOLDER)


def look(job: Job) -> tuple[str, ...]:
    return ("sh", "-c", _LOOK, "sh", job.name, _FOLDER, _MARKS)


def read(text: str) -> Sight:
    """What `look` printed: KEY=VALUE lines; whatever is missing is empty."""
    said = dict[str, str]()
    for line in text.splitlines():
        key, _, value = line.partition("=")
        said[key] = value
    return Sight(
        mark=said.get("mark", ""),
        state=_state(said.get("state", "")),
        word=clean(said.get("word", ""), _WORD_LIMIT),
        log=clean(said.get("log", "")[-_LOG_LIMIT:], _LOG_LIMIT),
    )


def _state(active: str) -> State:
    match active:
        case "active" | "activating" | "deactivating" | "reloading":
            return State.AT_WORK
        case "failed":
            return State.FAILED
        case _:
            return State.NONE


def _head(job: Job) -> Iterator[str]:
    yield "set -eu"
    yield "umask 077"
    yield f"own={_FOLDER}/{job.name} marks={_MARKS}"
    yield 'say() { printf "%s\\n" "$1" >"$own/word"; printf "== %s\\n" "$1"; }'
    yield from _FETCH.splitlines()
    yield from _PUT.splitlines()


def _lines(job: Job, files: str) -> Iterator[str]:
    if job.downloads:
        yield "say 'fetching files from the appliance'"
    for one in job.downloads:
        yield _call("fetch", f"{files}/{one.sha256}", one.sha256, one.path, one.mode)
    for file in job.files:
        text = file.text.reveal() if isinstance(file.text, Secret) else file.text
        yield f"{_call('put', file.path, file.mode)} <<'END'"
        yield from _encoded(text)
        yield "END"
    for act in job.acts:
        yield _call("say", act.says)
        yield _call(*act.argv)


def _tail(job: Job) -> Iterator[str]:
    """The mark appears whole: a power cut leaves none, and the job is done again."""
    yield 'mkdir -p "$marks"'
    yield f'printf "%s\\n" {shlex.quote(job.mark)} >"$marks/.{job.name}"'
    yield f'sync "$marks/.{job.name}"'
    yield f'mv "$marks/.{job.name}" "$marks/{job.name}"'
    yield "sync"


def _call(*words: str) -> str:
    return shlex.join(words)


def _encoded(text: str) -> Sequence[str]:
    data = b64encode(text.encode()).decode()
    return [data[at : at + 76] for at in range(0, len(data), 76)]


_FETCH = """\
get() {
    if command -v curl >/dev/null; then curl --fail --silent --show-error --output "$1" "$2"
    else busybox wget -q -O "$1" "$2"; fi
}
fetch() {
    if [ -f "$3" ] && echo "$2  $3" | sha256sum --check --status; then chmod "$4" "$3"; return; fi
    mkdir -p "$(dirname "$3")"
    get "$3.part" "$1" || get "$3.part" "$1" # once more: the appliance may have been started anew just then
    echo "$2  $3.part" | sha256sum --check --status || { echo "$3: not what it should be"; exit 1; }
    chmod "$4" "$3.part"
    mv "$3.part" "$3"
}"""

_PUT = """\
put() {
    mkdir -p "$(dirname "$1")"
    base64 -d >"$1.part"
    chmod "$2" "$1.part"
    mv "$1.part" "$1"
}"""

_BEGIN = """\
set -eu
unit="innervate-$1.service" own="$2/$1"
case $(systemctl show --property=ActiveState --value "$unit") in
    active | activating | deactivating | reloading) cat >/dev/null; echo "at work already"; exit 0 ;;
esac
systemctl reset-failed "$unit" 2>/dev/null || :
umask 077
mkdir -p "$own"
rm -f "$own/word" "$own/log"
cat >"$own/run"
systemd-run --quiet --no-block --unit="$unit" --property=Type=oneshot \\
    --property="StandardOutput=append:$own/log" --property="StandardError=append:$own/log" sh "$own/run"
echo "begun"
"""

_LOOK = """\
unit="innervate-$1.service" own="$2/$1"
echo "mark=$(cat "$3/$1" 2>/dev/null)"
echo "state=$(systemctl show --property=ActiveState --value "$unit")"
echo "word=$(cat "$own/word" 2>/dev/null)"
echo "log=$(tail -n 6 "$own/log" 2>/dev/null | tr '\\n' ' ')"
"""
