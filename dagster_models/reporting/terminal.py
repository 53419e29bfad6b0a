"""What the user sees while a run goes on: dbt's lines, with our states.

    18:04:11  3 of 14 START table marts.carrier_delays ........................ [RUN]
    18:04:11  3 of 14 OK table marts.carrier_delays ................... 16 rows [OK in 0.31s]

Everything that comes from outside (names, messages, a script's output) is cleaned first, so that a
message can neither break a line nor move the cursor, colour the screen or reorder the text.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TextIO

from dagster_models.reporting.live_line import LiveLine, is_live
from dagster_models.reporting.printable import clean, clean_lines
from dagster_models.reporting.progress import Progress
from dagster_models.reporting.results import CheckResult, CheckStatus, StepResult, totals
from dagster_models.reporting.sample_table import sample_lines
from dagster_models.reporting.wording import (
    READS_THE_FORMER,
    cancel_story,
    changed_rows,
    check_failure,
    committed_partitions,
    counted,
    failure,
    is_rolled_back,
    placed,
    skip_path,
    skip_reason,
    unchanged_since,
)
from dagster_models.util.durations import in_words
from dagster_models.util.lost_reader import forget_reader

WIDTH = 80  #: up to here dots lead the eye to the status, as in dbt
NAME_WIDTH = (24, 48)  #: least and greatest width of the step's name before its output
MOST_LINES = 40  #: of one message in the list of failures; run_results.json has all of it
INDENT = "    "

_COLORS = {"OK": 32, "WARN": 33, "ERROR": 31, "SKIP": 33, "CANCEL": 33, "RETRY": 33}
_COLORS["UNCHANGED"] = 32


class Named(Protocol):
    """What a line needs to name a step; a StepResult and a Task have it."""

    @property
    def step(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def materialized(self) -> str: ...


class Terminal:
    """Writes the lines of a run to a stream. Its methods may be called from any thread.

    No method raises because of the stream: if its reader is gone, the run goes on unseen.
    """

    def __init__(
        self,
        stream: TextIO,
        color: bool | None = None,
        clock: Callable[[], str] = lambda: time.strftime("%H:%M:%S"),
        copy: Callable[[str], None] = lambda text: None,
    ) -> None:
        """
        Args:
            stream: where to write.
            color: by default, only if the stream is a terminal and NO_COLOR is not set.
            clock: the local time of day that begins each line.
            copy: gets all lines, too.
        """
        self._stream, self._copy = stream, copy
        self._progress: Progress | None = None
        self._live: LiveLine | None = None
        self._color = _wants_color(stream) if color is None else color
        self._clock = clock
        self._lock = threading.Lock()
        self._gone = False
        self._name_width = NAME_WIDTH[0]

    def found(
        self, models: int = 0, scripts: int = 0, seeds: int = 0, checks: int = 0, sources: int = 0
    ) -> None:
        """``Found 14 models, 2 scripts, 3 seeds``, without the kinds that the run has none of."""
        counts = {
            "model": models,
            "script": scripts,
            "seed": seeds,
            "check": checks,
            "source": sources,
        }
        found = ", ".join(counted(count, noun) for noun, count in counts.items() if count)
        self._write([f"Found {found or 'nothing to run'}"])

    def concurrency(self, slots: int, target: str) -> None:
        """``Concurrency: 4 slots (target='dev')``."""
        self._write([f"Concurrency: {counted(slots, 'slot')} (target='{clean(target)}')", ""])

    def follow(self, progress: Callable[[], Progress]) -> None:
        """Show how far the run is in a line below all others, until it is done; nothing if the
        stream has no such line."""
        if is_live(self._stream):
            self._progress = progress()
            self._live = LiveLine(self._stream, self._progress.line)

    def hide_line(self, hidden: bool) -> None:
        """Hide that line while others write to the terminal by themselves, or show it again."""
        if self._live is not None:
            self._live.hide(hidden)

    def note(self, text: str) -> None:
        """A line of text, cleaned."""
        self._write([clean(text)])

    def started(self, index: int, total: int, step: Named) -> None:
        """``3 of 14 START table marts.carrier_delays ... [RUN]``; ``index`` counts from 1."""
        with self._lock:  # one very long name must not push all output off the screen
            self._name_width = min(max(self._name_width, len(clean(step.step))), NAME_WIDTH[1])
        if self._progress is not None:
            self._progress.started(step.step)
        self._write([_padded(f"{index} of {total} START {_title(step)}", "[RUN]")])

    def output(self, step: str, stream_name: str, line: str) -> None:
        """A line that a step printed, behind the step's name.

        ``stream_name`` is "stdout" or "stderr". A progress bar that redraws itself is shown in its
        last state.
        """
        name = clean(step).ljust(self._name_width)
        if stream_name == "stderr":
            name = self._paint("WARN", name)
        parts = line.replace("\r\n", "\n").removesuffix("\n").split("\n")
        shown = [clean(part.rstrip("\r").rpartition("\r")[2]) for part in parts]
        self._write([f"{name} | {text}".rstrip() for text in shown])

    def retry(self, index: int, total: int, result: StepResult, delay_seconds: float = 0.0) -> None:
        """A failed attempt; the step is tried again after ``delay_seconds``."""
        then = f"again in {delay_seconds:.0f}s" if delay_seconds >= 0.5 else "again now"
        status = f"attempt {result.attempt} failed in {result.seconds:.2f}s, {then}"
        if self._progress is not None:
            self._progress.stopped(result.step)
        head = f"{index} of {total} RETRY {_title(result)}"
        self._write([_padded(head, self._status("RETRY", status)), *_reason(result)])

    def finished(self, index: int, total: int, result: StepResult) -> None:
        """The line of a step that reached its final state, and below it why it did."""
        head = f"{index} of {total} {_word(result)} "
        took = f"in {result.seconds:.2f}s"
        rows, details = "", [*_reason(result), *_check_lines(result, most=1)]
        if self._progress is not None:
            self._progress.over(result.step)
        if result.state == "skipped":
            head += clean(result.step)
            status = clean(skip_reason(result))
            details = [INDENT + clean(path)] if (path := skip_path(result)) else []
        else:
            head += _title(result)
            status = f"{_word(result)} {took}"
            if result.state == "unchanged":
                status = clean(unchanged_since(result))
            elif result.committed_in:
                status = f"{_word(result)} by run {clean(result.committed_in)[:8]}"
            if result.state == "canceled":
                details = [INDENT + clean(cancel_story(result))]
            elif result.state == "succeeded":
                rows = changed_rows(result)
            if result.state == "succeeded" and result.built_on_previous:
                names = ", ".join(map(clean, result.built_on_previous))
                details.append(f"{INDENT}built on the previous version of {names}, which failed")
        self._write([_padded(head, self._status(_word(result), status), rows), *details])

    def checked(self, index: int, total: int, result: StepResult) -> None:
        """The line of the checks of a step that ran after all models."""
        word = _word(result) if result.warned or result.failed_later else "OK"
        seconds = sum(check.seconds for check in result.checks)
        head = f"{index} of {total} {word} checks {clean(result.step)}"
        status = self._status(word, f"{word} in {seconds:.2f}s")
        self._write([_padded(head, status), *_check_lines(result, most=1)])

    def done(
        self,
        results: Sequence[StepResult],
        seconds: float,
        broke: str = "",
        unended: int | None = None,
    ) -> None:
        """The run's end: every failure and warning again, then the totals as dbt prints them.

        ``broke``: what went wrong with the run itself, if anything did. ``unended``: how many steps
        a run has that has not ended.
        """
        count = totals(results)
        deliberate = sum(result.deliberate for result in results)
        lines = ["", f"Finished {counted(count['TOTAL'], 'step')} in {in_words(seconds)}.", ""]
        counts = [
            f"{1 if broke else 0} error of the run itself",
            counted(count["ERROR"], "error"),
            counted(count["WARN"], "warning"),
            f"{count['SKIP'] - deliberate} skipped",
            f"{count['CANCEL']} canceled",
        ]
        counts = [text for text in counts if not text.startswith("0 ")]
        chosen = f", {deliberate} skipped by choice" if deliberate else ""
        left_alone = count.get("UNCHANGED", 0)
        chosen += f", {left_alone} unchanged" if left_alone else ""
        if unended is not None:
            ended = f"{count['TOTAL']:,} of {counted(unended, 'step')} ended, and the run has not"
            lines = ["", f"{ended}: it is still running, or it was killed.", ""]
        elif counts:
            word = "ERROR" if count["ERROR"] or broke else "WARN"
            lines += [self._paint(word, f"Completed with {', '.join(counts)}{chosen}"), ""]
        else:
            lines += [self._paint("OK", f"Completed successfully{chosen}"), ""]
        if broke:
            head, *more = clean_lines(broke)
            lines += [f"{self._paint('ERROR', 'ERROR')} {head}", *(INDENT + m for m in more), ""]
        for result in results:
            if result.state == "failed" or result.warned or result.failed_later:
                lines += [*self._again(result, results), ""]
        lines += self._undeclared(results)
        all_counts = " ".join(f"{word}={number}" for word, number in count.items())
        if self._live is not None:
            self._live.stop()
        self._write([*lines, f"{'Done' if unended is None else 'So far'}. {all_counts}"])

    def _undeclared(self, results: Sequence[StepResult]) -> list[str]:
        """The names that nothing in the project stands for: nobody knows who builds these."""
        names = list(dict.fromkeys(clean(it) for result in results for it in result.undeclared))
        if not names:
            return []
        more = (
            [f"{INDENT}... and {len(names) - MOST_LINES} more"] if len(names) > MOST_LINES else []
        )
        head = f"{self._paint('WARN', 'WARN')} {counted(len(names), 'name')} that nobody declares"
        return [head, *(INDENT + name for name in names[:MOST_LINES]), *more, ""]

    def _again(self, result: StepResult, results: Iterable[StepResult]) -> list[str]:
        """A failure or warning in full, for the list at the end."""
        where = f" ({clean(result.where)})" if result.where else ""
        lines = [f"{self._paint(_word(result), _word(result))} {_title(result)}{where}"]
        if result.failed_later:
            lines[0] += " is published, and a check of it failed"
        if result.state == "failed":
            error = result.error
            lines += _head(clean_lines(failure(result)))
            lines += clean_lines(committed_partitions(result))
            # A SQL step's traceback would show our own code, not the user's.
            if error and error.traceback and result.kind not in ("sql", "seed"):
                lines += _tail(clean_lines(error.traceback))
        lines = [lines[0], *(INDENT + line for line in lines[1:])]
        lines += _check_lines(result, most=MOST_LINES)
        below = [other.step for other in results if other.path[:1] == (result.step,)]
        below = [step for step in below if step != result.step]
        if below:
            names = ", ".join(map(clean, below[:10]))
            more = f" and {len(below) - 10} more" if len(below) > 10 else ""
            lines.append(f"{INDENT}{len(below)} skipped below it: {names}{more}")
        return lines

    def _status(self, word: str, text: str) -> str:
        return f"[{self._paint(word, text)}]"

    def _paint(self, word: str, text: str) -> str:
        return f"\x1b[{_COLORS[word]}m{text}\x1b[0m" if self._color else text

    def _write(self, lines: Sequence[str]) -> None:
        now = self._clock()
        text = "".join(f"{now}  {line}".rstrip() + "\n" for line in lines)
        # A terminal with another encoding must show something rather than raise.
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        text = text.encode(encoding, "backslashreplace").decode(encoding)
        with self._lock:
            if self._gone:
                return
            try:
                self._copy(text)
                if self._live is not None:
                    self._live.write(text)
                else:  # in one call: lines of other processes stay between ours
                    self._stream.write(text)
                    self._stream.flush()
            except (BrokenPipeError, ValueError):  # the reader went away, the stream was closed
                self._gone = not forget_reader(self._stream)
            except OSError:
                pass  # a full disk, a terminal that hung up: the next line may work again


def _wants_color(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    try:
        return stream.isatty()
    except ValueError:
        return False


def _word(result: StepResult) -> str:
    if result.warned:
        return "WARN"
    if result.failed_later:
        return "ERROR"
    return _STATE_WORDS[result.state]


_STATE_WORDS = {
    "succeeded": "OK",
    "failed": "ERROR",
    "canceled": "CANCEL",
    "skipped": "SKIP",
    "unchanged": "UNCHANGED",
}


_CHECK_WORDS: Mapping[CheckStatus, str] = {
    "warn": "WARN",
    "fail": "FAIL",
    "error": "ERROR",
    "skipped": "SKIP",
}


def _title(step: Named) -> str:
    """What is done and its name: ``table marts.carrier_delays``, ``script scripts.report``,
    ``checks marts.carrier_delays``."""
    alone = step.kind in ("seed", "script", "asset", "checks")
    return clean(f"{step.kind if alone else step.materialized or step.kind} {step.step}")


def _padded(head: str, status: str, rows: str = "") -> str:
    """The line with dots up to a fixed width, as in dbt; a long name is never cut."""
    tail = f" {rows}" if rows else ""
    return f"{head} ".ljust(WIDTH - len(tail), ".").rstrip(" ") + f"{tail} {status}"


def _reason(result: StepResult) -> list[str]:
    """The file, line and first line of the error of a failed attempt; nothing for any other."""
    if result.state != "failed":
        return []
    first = next(iter(clean_lines(failure(result))), "")
    text = placed(clean(result.where), first)
    return [INDENT + text] if text else []


def _check_lines(result: StepResult, most: int) -> list[str]:
    """The checks that did not pass, with up to *most* lines of what there is to say of each."""
    lines = []
    for check in result.checks:
        if not check.passed:
            word = _CHECK_WORDS[check.status]
            said = [*clean_lines(check_failure(check)), *_rows_of(check, is_rolled_back(result))]
            head, *more = said[:most] or [""]
            lines.append(f"{INDENT}{word} check {clean(check.name)}: {head}")
            lines += [2 * INDENT + line for line in more]
    return lines


def _rows_of(check: CheckResult, rolled_back: bool) -> list[str]:
    """Some of the offending rows, and how to see the others."""
    lines = sample_lines(check)
    if check.stored:
        return [*lines, f"{_how_many_stored(check)}: select * from {clean(check.stored)}"]
    query = clean(check.query) if "--" not in check.query else ""
    how = READS_THE_FORMER if rolled_back else "to see them"
    return [*lines, f"{how}: {query}"] if lines and query else lines


def _how_many_stored(check: CheckResult) -> str:
    if check.stored_rows is None:
        return "the stored ones"
    few = check.stored_rows < check.failures
    return f"{check.stored_rows:,} of them" if few else "all of them"


def _head(lines: list[str]) -> list[str]:
    left = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], f"... {counted(left, 'more line')}"] if left > 0 else lines


def _tail(lines: list[str]) -> list[str]:
    left = len(lines) - MOST_LINES
    return [f"... {counted(left, 'more line')}", *lines[-MOST_LINES:]] if left > 0 else lines
