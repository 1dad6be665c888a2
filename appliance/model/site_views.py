"""What the REST API says of the site program, as values; see `appliance.model.views`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFaultView:
    """`where` is file:line, or what was seen."""

    message: str
    where: str
    next_action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteCheckView:
    """What `innervate check` says: `summary` of a good program, or why it is none."""

    summary: str = ""
    fault: SiteFaultView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteChangeView:
    """A step of the plan that would be made now by the program on disk, and is not made by the one that runs, or the
    other way round. `change` is "added", "removed" or "changed"; `before` what a changed step was."""

    change: str
    machine: str
    kind: str
    summary: str
    before: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteView:
    """`source` is the program on disk, `diff` (unified) what it is against the one that runs; in both what looks like
    a secret is masked. `loaded` is when the one that runs was read. `changed` also where only what is masked differs.
    `digest` names what is on disk; `reloadable`: it is sound, and differs in nothing that needs a restart. `advice`
    says what to do; "" where nothing."""

    name: str
    path: str
    loaded: float
    source: str
    changed: bool
    diff: str
    check: SiteCheckView
    machines_added: tuple[str, ...] = ()
    machines_removed: tuple[str, ...] = ()
    changes: tuple[SiteChangeView, ...] = ()
    plan_problem: str = ""
    digest: str = ""
    reloadable: bool = False
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadRequest:
    """`digest` of the `SiteView` that was looked at: whoever asks for it takes exactly that."""

    digest: str
