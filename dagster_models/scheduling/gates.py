"""Which outputs will not come by choice, and which steps are not to run for that reason.

The rules are those of Dagster's ActiveExecution: an ordinary input that is missing skips its step,
and a fan-in goes on with what is there as long as one of its inputs is. What failed is not missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from dagster_models.scheduling.requirements import OutputName, StepRequirements


class Gates:
    """The gates of all steps (see ``StepRequirements``), and what is missing so far."""

    def __init__(self, requirements: Mapping[str, StepRequirements]) -> None:
        self._of = {step: it.gates for step, it in requirements.items() if it.gates}
        self._withheld: set[OutputName] = set()
        self._skipped: set[str] = set()

    def withhold(self, outputs: Iterable[OutputName]) -> None:
        """These outputs will not come, as their step chose so."""
        self._withheld.update(outputs)

    def skip(self, step: str) -> None:
        """The step is skipped for a closed gate, so none of its outputs will come."""
        self._skipped.add(step)

    def are_missing_from(self, step: str) -> bool:
        """Whether the step was skipped for a closed gate."""
        return step in self._skipped

    def is_closed(self, step: str) -> bool:
        """Whether everything is missing that the step reads through one of its gates."""
        return any(all(map(self._is_missing, gate)) for gate in self._of.get(step, ()))

    def may_close(self, step: str, is_over: Callable[[str], bool]) -> bool:
        """Whether steps that are not over may still close one of the step's gates."""
        return any(
            all(self._is_missing(output) or not is_over(output.step) for output in gate)
            for gate in self._of.get(step, ())
        )

    def _is_missing(self, output: OutputName) -> bool:
        return output in self._withheld or output.step in self._skipped
