"""What the writers of results say of a step that did not succeed."""

from __future__ import annotations

from dagster_models.reporting.results import ResultState, StepResult


def skip_reason(result: StepResult, cause_state: ResultState | None = None) -> str:
    """Why a step never started, in a few words; the path is told apart (``skip_path``).

    ``cause_state`` is the state of ``result.cause``, if that is known.
    """
    if result.cause is None:
        return result.message or "the run was stopped"
    became = "was canceled" if cause_state == "canceled" else "failed"
    if result.no_previous:
        became += " and has no previous version"
    if len(result.path) < 2:
        return f"stopped after {result.cause} {became}"
    return f"upstream {result.cause} {became}"


def skip_path(result: StepResult) -> str:
    """The path from the root cause to the step, "" when it is a single hop."""
    return " -> ".join(result.path) if len(result.path) > 2 else ""


def explanation(result: StepResult) -> str:
    """Why a step failed, in full: what the run says of it, and the error if that says more."""
    error = result.error
    if error is None or not error.message:
        return result.message
    # A driver's message names its kind; that of a Python exception does not.
    named = result.kind not in ("sql", "seed")
    text = f"{error.title}: {error.message}" if named else error.message
    said, known = " ".join(result.message.split()), " ".join(error.message.split())
    # A timeout's error is the driver's "interrupted": then both are needed.
    return text if said in known or known in said else f"{result.message}\n{text}"


def cancel_story(result: StepResult) -> str:
    """What became of a step that was stopped, and why it was."""
    # A script has no transaction of ours around it: to say "rolled back" would be a guess.
    undone = result.kind not in ("script", "asset")
    story = result.message or (
        "rolled back; the relation is as before the run"
        if undone
        else "stopped; what it had already done stays"
    )
    if result.cause and result.cause not in story:
        story += f" (stopped after {result.cause} failed)"
    return story
