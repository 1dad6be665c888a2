"""Help is there at once, for every verb; a slip of the hand is met with what was meant."""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from typer.main import get_command

from appliance.cli.app import build
from appliance.cli.app import run as run_app
from appliance.cli.help import help_of
from tests.unit.appliance.cli.test_app import HEAVY

Run = Callable[..., tuple[int, str, str]]
LIMIT = 0.25
NOT_FOR_HELP = (*HEAVY, "appliance.model.views", "appliance.model.bmc_views", "appliance.client", "rich.console")


def verbs(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from verbs(inner, (*path, name))


APP = build()
VERBS = tuple(verbs(get_command(APP)))


def test_help_of_every_verb_imports_nothing_heavy() -> None:
    assert {("status",), ("machines",), ("bmc", "vault", "add"), ("completion",)} <= set(VERBS)
    code = (
        "import sys\nfrom appliance.main import main\n"
        f"bad = [verb for verb in {VERBS!r} if main([*verb, '--help']) != 0]\n"
        f"sys.exit(', '.join((*map(str, bad), *(m for m in {NOT_FOR_HELP!r} if m in sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("Usage: innervate") == len(VERBS)


def timed(*argv: str) -> tuple[float, float]:
    """On the wall, and of the processor."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *argv], check=True, capture_output=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.alone
@pytest.mark.parametrize("verb", [(), ("status",), ("bmc", "vault", "add")], ids=" ".join)
def test_help_takes_a_quarter_of_a_second(verb: tuple[str, ...]) -> None:
    """Side by side with a Python that does nothing: what a busy machine makes that one wait, help may wait too."""
    pairs = [(timed("-c", "pass"), timed("-m", "appliance.main", *verb, "--help")) for _ in range(7)]
    stall = statistics.median(wall / max(processor, 0.01) for (wall, processor), _ in pairs)
    took = statistics.median(wall for _, (wall, _) in pairs)
    assert took < LIMIT * max(1.0, stall)


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("staus",), "'status'"),
        (("bmc", "rotat"), "'rotate'"),
        (("status", "--jsno"), "--json"),
        (("events", "--folow"), "--follow"),
    ],
)
def test_slips(run: Run, arguments: tuple[str, ...], meant: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert meant in err


@pytest.mark.parametrize("asks", ["-h", "--help"])
@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_help_is_what_the_parser_would_print(
    verb: tuple[str, ...], asks: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        APP(args=[*verb, asks], prog_name="innervate")
    assert ended.value.code == 0
    parsed = capsys.readouterr().out
    assert (run_app(APP, [*verb, asks]), capsys.readouterr().out) == (0, parsed)


@pytest.mark.parametrize(
    ("words", "helps"),
    [
        (["--help"], True),
        (["bmc", "vault", "-h"], True),
        (["status", "node-0", "--help"], False),
        (["--socket", "x", "status", "--help"], False),
        (["staus", "--help"], False),
        (["ssh", "--", "--help"], False),
        (["status"], False),
        ([], False),
    ],
)
def test_whatever_else_is_said_is_parsed(words: list[str], helps: bool) -> None:
    assert (help_of(APP, words) is not None) is helps
