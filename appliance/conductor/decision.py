"""What a handler sees, and what it can decide.

A handler is a pure function of a `View` and the time. It looks at what is there (folded records, what the agent said,
what was heard in this life of the daemon) and names one next thing; the outbox does it, and asks again:

    Tell     an order that changes the world: journaled before it leaves, its answer after
    Ask      a question that changes nothing: asked again after a restart
    Wait     one sentence, and the time at which waiting is over; with `work` the agent is offered the step's task
    Done | Retry | Failed
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from appliance.conductor.machine import MachineState
from appliance.conductor.runs import Attempt
from appliance.inventory.identity import Conflict
from appliance.model.bmc import PowerState, SystemIdentity
from appliance.model.identity import IdentityPolicy
from appliance.model.orders import Order
from appliance.plan import ShellCheck, Step
from appliance.store.records import Problem, Record
from images.agent.protocol import TaskReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    order: Order
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskIdentity:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class AskPower:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class AskShell:
    """`check` runs as `user` on the installed system."""

    user: str
    check: ShellCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class AskConsole:
    """The last lines of the machine's serial console, as one line; "" where nothing records it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskCluster:
    """How far the step's work on a cluster is."""


Question = AskIdentity | AskPower | AskShell | AskConsole | AskCluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    question: Question
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """`until` in seconds since the epoch: the handler is asked again then at the latest; None: the budget ends it."""

    why: str
    until: float | None = None
    work: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """`evidence`: what was seen, by name, as short texts for people. `learnt` is recorded with it."""

    evidence: Mapping[str, str] = field(default_factory=dict)
    learnt: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """The attempt came to nothing, harmlessly: try again under a new fence after `seconds`."""

    seconds: float
    problem: Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    problem: Problem
    learnt: tuple[Record, ...] = ()


Outcome = Done | Retry | Failed
Decision = Tell | Ask | Wait | Outcome


class Progress(Enum):
    NOT_BEGUN = "not begun"
    AT_WORK = "at work"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSight:
    """What a look at node or cluster shows. `words` is one sentence; `evidence` counts where it is done, `problem`
    where it failed."""

    progress: Progress
    words: str
    evidence: Mapping[str, str] = field(default_factory=dict)
    problem: Problem | None = None


Answer = SystemIdentity | PowerState | ClusterSight | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The answer to a question, or why there is none. `unreachable`: it may still come up."""

    question: Question
    at: float
    answer: Answer | None = None
    problem: Problem | None = None
    unreachable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentView:
    """`silent`: seconds since the agent with the machine's present nonce was heard, None if it never was; `life`:
    another text for each start of it."""

    alive: bool = False
    silent: float | None = None
    life: str = ""
    report: TaskReport | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The step's task was offered to the agent in this life of the daemon; `ended` is when the agent was done."""

    task: str
    life: str
    since: float
    ended: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """`began` is when this life of the daemon took the attempt up; `first_signs` are how long machines of this model
    took to their first packet, in seconds, latest last. `tokens`: they can be asked for."""

    state: MachineState
    step: Step
    attempt: Attempt
    began: float
    agent: AgentView
    heard: tuple[Heard, ...]
    work: Work | None
    first_signs: tuple[float, ...]
    clash_of: Callable[[SystemIdentity], Conflict | None]
    tokens: bool = False
    policy: IdentityPolicy = field(default_factory=IdentityPolicy)

    def last(self, kind: type[Question]) -> Heard | None:
        return next((heard for heard in reversed(self.heard) if isinstance(heard.question, kind)), None)
