"""Questions at the bottom of the screen: how an answer is typed, and what it brings about. Pure."""

from dataclasses import replace
from typing import assert_never

from appliance.errors import UsageError
from appliance.frontend.provision import is_name
from appliance.model.filter import parse
from appliance.tui.messages import Pressed
from appliance.tui.state import (
    Apply,
    Ask,
    Choices,
    Command,
    Doctor,
    Examine,
    Explain,
    Help,
    Leave,
    Log,
    Machine,
    MakePlan,
    Overview,
    Place,
    PlaceHold,
    Planned,
    Prompt,
    Runs,
    ShowPlan,
    State,
    Steer,
    TakeOver,
    Task,
    Trouble,
    entered,
)

YES = frozenset({"y", "yes"})
_TYPED_LIMIT = 200
_TAKE_OVER = Prompt(
    ask=Ask.YES,
    label="y and Enter does it, Enter alone leaves: ",
    says=("The boot network is asked who serves DHCP; if nobody else does, this appliance serves it.",),
    then=TakeOver(),
)

Outcome = tuple[State, tuple[Command, ...]]


def typed(state: State, prompt: Prompt, press: Pressed) -> Outcome:
    match press.key:
        case "enter":
            return _answered(replace(state, prompt=None), prompt)
        case "escape" | "ctrl+c":
            return _left(state), ()
        case "backspace" | "ctrl+h":
            return replace(state, prompt=replace(prompt, typed=prompt.typed[:-1])), ()
        case "ctrl+u":
            return replace(state, prompt=replace(prompt, typed="")), ()
        case _ if press.character.isprintable() and press.character.isascii():
            text = (prompt.typed + press.character)[:_TYPED_LIMIT]
            return replace(state, prompt=replace(prompt, typed=text)), ()
        case _:
            return state, ()


def _left(state: State) -> State:
    asks = state.prompt is not None and state.prompt.then is not None
    return replace(state, prompt=None, notice=Trouble(message="Left: nothing is done.") if asks else None)


def _answered(state: State, prompt: Prompt) -> Outcome:
    text = prompt.typed.strip()
    match prompt.ask:
        case Ask.FILTER:
            return _filtered(state, prompt), ()
        case Ask.COMMAND:
            return command(state, text)
        case Ask.NAME:
            return _decided(state, prompt, is_yes=is_name(text, prompt.wanted))
        case Ask.YES:
            return _decided(state, prompt, is_yes=text.lower() in YES)
        case Ask.TEXT:
            return _decided(state, replace(prompt, then=_because(prompt.then, text)), is_yes=bool(text))
        case _:
            assert_never(prompt.ask)


def _filtered(state: State, prompt: Prompt) -> State:
    """What is no filter is asked for again, and says why it is none."""
    try:
        return replace(state, filter=parse(prompt.typed))
    except UsageError as error:
        says = (f"{error}: {error.next_action}", *((error.evidence,) if error.evidence else ()))
        return replace(state, prompt=replace(prompt, says=says))


def _decided(state: State, prompt: Prompt, *, is_yes: bool) -> Outcome:
    if is_yes and prompt.then is not None:
        return replace(state, busy=_busy(prompt.then)), (prompt.then,)
    why = f" {prompt.typed.strip()!r} is not the name." if prompt.ask is Ask.NAME and prompt.typed.strip() else ""
    return replace(state, notice=Trouble(message=f"Left: nothing is done.{why}")), ()


def _because(then: Command | None, reason: str) -> Command | None:
    match then:
        case Steer() | PlaceHold():
            return replace(then, reason=reason)
        case _:
            return then


def _busy(then: Command) -> str:
    match then:
        case Apply():
            return "starting the run"
        case MakePlan() | ShowPlan():
            return "planning"
        case _:
            return "asking the daemon"


def planning(state: State, task: Task, goal: str = "") -> Outcome:
    """Where a plan is waited for, and the request for it."""
    there = replace(entered(state, Planned(task=task, goal=goal)), busy="planning")
    makes = MakePlan(task=task, goal=goal)
    return there, (makes, Examine())


def command(state: State, text: str) -> Outcome:
    """`:` and a word; a machine's name alone opens its page."""
    word, _, name = text.partition(" ")
    name = name.strip()
    pages: dict[str, Place] = {"overview": Overview(), "runs": Runs(), "log": Log(machine=name), "help": Help()}
    if word in pages:
        return entered(state, pages[word]), ()
    match word:
        case "":
            return state, ()
        case "q" | "quit":
            return state, (Leave(),)
        case "take-over":
            return replace(state, prompt=_TAKE_OVER), ()
        case "doctor":
            return entered(state, Doctor()), (Examine(),)
        case "provision":
            return planning(state, Task())
        case "machine" | "do" if state.data.machine(name) is not None:
            return opened(state, name) if word == "machine" else (entered(state, Choices(machine=name)), ())
        case _ if state.data.machine(word) is not None:
            return opened(state, word)
        case _:
            says = f"There is no command and no machine {text!r}; ? lists the commands."
            return replace(state, notice=Trouble(message=says)), ()


def opened(state: State, name: str) -> Outcome:
    return entered(state, Machine(name=name)), (Explain(machine=name),)
