"""What is shown of outcomes has no secrets."""

from __future__ import annotations

from dagster_models.core.messages import CheckOutcome, Outcome, TaskError, Verdict
from dagster_models.errors import ErrorKind
from dagster_models.execution.outcomes import shown


def test_no_text_of_an_outcome_shows_a_secret() -> None:
    """A note quotes the driver, too: the rows of a check are not stored, and why."""
    said = "cannot cast 's3cret' to a number"
    error = TaskError(ErrorKind.OTHER, said, traceback=said)
    check = CheckOutcome("c", "warn", error=error, sample=((said,),), query=said, found=said)
    outcome = Outcome("s", 1, Verdict.DONE, checks=(check,), error=error, notes=(said, "other"))
    assert "s3cret" not in str(shown(outcome, {"s3cret"}))
    assert shown(outcome, {"s3cret"}).notes[1] == "other"
    assert shown(outcome, ()) == outcome
