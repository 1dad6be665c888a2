"""The keymap, apart from what the actions do. Pure.

Keys have the names that textual gives them; F1 to F6 come from a Linux console, a VT220 and xterm alike.
"""

from enum import Enum


class Action(Enum):
    """Its value is what the help says of it."""

    HELP = "help"
    OVERVIEW = "overview: the rack"
    PROVISION = "provision: plan all that the site program wants"
    RUNS = "runs"
    LOG = "log"
    DO = "do something with the machine: errands, power, hold"
    NEXT_PAGE = "next page"
    DOWN = "down"
    UP = "up"
    LEFT = "left"
    RIGHT = "right"
    PAGE_DOWN = "a page down"
    PAGE_UP = "a page up"
    TOP = "to the first"
    BOTTOM = "to the last"
    OPEN = "open, or approve"
    BACK = "back"
    FILTER = "filter: which machines are shown"
    COMMAND = "type a command"
    APPROVE = "approve the plan that is shown"
    PLAN_ANEW = "plan anew"
    PAUSE = "pause the run, or the log"
    RESUME = "let the run go on"
    CANCEL = "cancel the run"
    SET_ASIDE = "set the machine aside"
    RETRY = "try again"
    FOLLOW = "follow the log"
    LEAVE = "leave"


KEYMAP: dict[str, Action] = {
    "question_mark": Action.HELP,
    "f1": Action.HELP,
    "f2": Action.OVERVIEW,
    "f3": Action.PROVISION,
    "f4": Action.RUNS,
    "f5": Action.LOG,
    "f6": Action.DO,
    "a": Action.DO,
    "l": Action.RIGHT,
    "h": Action.LEFT,
    "tab": Action.NEXT_PAGE,
    "j": Action.DOWN,
    "down": Action.DOWN,
    "k": Action.UP,
    "up": Action.UP,
    "left": Action.LEFT,
    "right": Action.RIGHT,
    "pagedown": Action.PAGE_DOWN,
    "space": Action.PAGE_DOWN,
    "pageup": Action.PAGE_UP,
    "g": Action.TOP,
    "home": Action.TOP,
    "G": Action.BOTTOM,
    "end": Action.BOTTOM,
    "enter": Action.OPEN,
    "escape": Action.BACK,
    "slash": Action.FILTER,
    "colon": Action.COMMAND,
    "y": Action.APPROVE,
    "n": Action.PLAN_ANEW,
    "p": Action.PAUSE,
    "r": Action.RESUME,
    "c": Action.CANCEL,
    "s": Action.SET_ASIDE,
    "t": Action.RETRY,
    "f": Action.FOLLOW,
    "q": Action.LEAVE,
    "ctrl+c": Action.LEAVE,
}

_WRITTEN = {
    "question_mark": "?",
    "slash": "/",
    "colon": ":",
    "escape": "Esc",
    "pagedown": "PgDn",
    "pageup": "PgUp",
    "ctrl+c": "Ctrl-C",
}


def keys_of(action: Action) -> tuple[str, ...]:
    """As a person reads them."""
    return tuple(written(key) for key, does in KEYMAP.items() if does is action)


def written(key: str) -> str:
    return _WRITTEN.get(key) or (key if len(key) == 1 else key.capitalize())
