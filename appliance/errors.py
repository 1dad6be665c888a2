"""Errors of the appliance: one tree, each with its cause, its evidence and the next action.

InnervateError
|-- UsageError           the request makes no sense as written (ours to reject)
|   |-- SiteError        the site program is malformed
|   |-- CapabilityError  a score asks for what the topology does not offer
|   +-- PlanError        the plan names what is not there, or is stale
|-- NotFoundError        we looked, and there is none (a look-up that failed is a different error)
|-- ConflictError        someone else got there first
|   |-- StaleError       the thing has changed since it was read (If-Match)
|   +-- UnguardedError   a change that must say what it was based on (If-Match) did not
|-- IncompleteError      parts of an artifact set are missing or changed
|-- AccessError          the caller may not
|   |-- LoginError       nobody known asks, or with a wrong password, token or code
|   +-- ThrottledError   too many tries failed: wait
|-- StepError            a step failed on a machine
|   |-- BmcError         the BMC refused, lied or stayed silent
|   |   |-- BmcUnsupportedError    it cannot do that at all: asking again changes nothing
|   |   |-- BmcLoginError          it refuses the user or the password: asking again may lock the account
|   |   |-- BmcPasswordChangeError it wants a new password before anything else
|   |   |-- BmcSessionsFullError   others hold all of its sessions
|   |   +-- BmcTaskError           it began, and then failed or lost, a task
|   |-- AgentError       the agent in the ramdisk refused or failed
|   |-- ClusterError     a cluster, or a node on its way into one, refused or failed
|   +-- ShellError       the installed system refused
+-- MachineryError       our own disk, socket or process failed
"""


class InnervateError(Exception):
    """`code` is stable and documented; `evidence` is what was seen; `next_action` what a person should do."""

    code = "error"

    def __init__(self, message: str, *, evidence: str = "", next_action: str = "") -> None:
        super().__init__(message)
        self.evidence = evidence
        self.next_action = next_action


class UsageError(InnervateError):
    code = "usage"


class SiteError(UsageError):
    code = "site"


class CapabilityError(UsageError):
    code = "capability"


class PlanError(UsageError):
    """`machine`: the one that stands in the way, "" where it is none's."""

    code = "plan"

    def __init__(self, message: str, *, evidence: str = "", next_action: str = "", machine: str = "") -> None:
        super().__init__(message, evidence=evidence, next_action=next_action)
        self.machine = machine


class RefusedError(UsageError):
    code = "refused"


class NotFoundError(InnervateError):
    code = "not-found"


class ConflictError(InnervateError):
    code = "conflict"


class StaleError(ConflictError):
    code = "stale"


class UnguardedError(ConflictError):
    code = "unguarded"


class IncompleteError(InnervateError):
    code = "incomplete"


class AccessError(InnervateError):
    code = "forbidden"


class LoginError(AccessError):
    code = "login"


class ThrottledError(AccessError):
    """`retry_after` in seconds."""

    code = "throttled"

    def __init__(self, message: str, *, evidence: str = "", next_action: str = "", retry_after: float = 0.0) -> None:
        super().__init__(message, evidence=evidence, next_action=next_action)
        self.retry_after = retry_after


class StepError(InnervateError):
    code = "step"


class BmcError(StepError):
    code = "bmc"


class BmcUnsupportedError(BmcError):
    pass


class BmcSilentError(BmcError):
    """No answer: what was asked may have been done."""


class BmcLoginError(BmcError):
    pass


class BmcPasswordChangeError(BmcLoginError):
    pass


class BmcSessionsFullError(BmcError):
    pass


class BmcTaskError(BmcError):
    pass


class AgentError(StepError):
    code = "agent"


class ClusterError(StepError):
    code = "cluster"


class ShellError(StepError):
    code = "shell"


class UnreachableError(ShellError):
    code = "unreachable"


class MachineryError(InnervateError):
    code = "machinery"


class AbsentError(MachineryError):
    code = "no-daemon"


class LateError(MachineryError):
    """The request may still be carried out."""

    code = "timeout"
