"""Whether tables, commit records, journal, results, terminal and event log tell the same story."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from truth_evidence import Evidence
from truth_projects import CLEAN, NEW, OLD, STOPS, SUCCEEDS, History, Node


def disagreements(history: History, evidence: Evidence) -> Iterator[str]:
    yield from of_processes(evidence)
    journal = evidence.journal
    states = {step.step: step.state for step in journal.steps} if journal else {}
    attempts = {step.step: step.attempt for step in journal.steps} if journal else {}
    killed = evidence.played.did("kill run")
    nodes = {node.name: node for node in history.nodes}
    for node in history.nodes:
        state = states.get(node.step, "untold")
        if state == "untold" and not killed:
            yield f"{node.step}: the journal does not tell of it"
        yield from of_the_warehouse(node, states, attempts, nodes, evidence)
        yield from of_its_fate(node, state, history, evidence)
    yield from of_dagster(states, killed, evidence)
    if killed:
        if evidence.results is not None and evidence.journal and evidence.journal.end is None:
            yield "run_results.json was written before the journal's end"
        return
    yield from of_the_end(states, evidence)
    aborts = any(states.get(n.step) == "failed" and n.on_error == "abort" for n in history.nodes)
    undisturbed = not evidence.played.done and not aborts and history.fail_fast == "false"
    if undisturbed and states != expected(history):
        yield f"undisturbed, it reported {states}, not {expected(history)}"


def of_processes(evidence: Evidence) -> Iterator[str]:
    if evidence.played.survivors:
        yield f"processes survive, or it hangs: {evidence.played.survivors}"
    if evidence.found.sessions:
        yield f"sessions survive: {evidence.found.sessions}"


def of_the_warehouse(
    node: Node,
    states: dict[str, str],
    attempts: dict[str, int],
    nodes: dict[str, Node],
    evidence: Evidence,
) -> Iterator[str]:
    state = states.get(node.step, "untold")
    recorded = evidence.found.records.get(node.step, [])
    if node.relation is None:
        effect = evidence.found.relations.get(f"main.effect_{node.name}")
        if recorded:
            yield f"{node.step}: a script with commit records"
        if (effect is None and state == "succeeded") or (effect is not None and state == "skipped"):
            yield f"{node.step}: {state}, but its table is {effect}"
        return
    held = evidence.found.relations.get(node.relation)
    old = (node.before, OLD) if node.before else None
    new = ("view" if node.kind == "view" else "table", NEW)
    if held not in (old, new):
        yield f"{node.step}: {state}, but its relation is {held}, neither {old} nor {new}"
    if bool(recorded) != (held == new) or len(recorded) > 1:
        yield f"{node.step}: commit records of attempts {recorded}, but its relation is {held}"
    if state != "untold" and (state == "succeeded") != (held == new):
        yield f"{node.step}: {state}, but its relation is {held}"
    if state == "succeeded" and recorded != [attempts[node.step]]:
        yield f"{node.step}: reported attempt {attempts[node.step]}, recorded {recorded}"
    versions = evidence.found.inputs.get(node.relation, {})
    for name in node.upstream if held == new and node.kind != "view" else ():
        up = nodes[name]
        # What failed and says on_error: continue is read as an earlier run left it.
        right = NEW if states.get(up.step, "succeeded") != "failed" else OLD
        if versions.get(f"u_{name}") != right:
            yield f"{node.step}: built from {versions}, though {up.step} {states.get(up.step)}"


def of_its_fate(node: Node, state: str, history: History, evidence: Evidence) -> Iterator[str]:
    """A bad step never succeeds, and a good one fails and is canceled only if that was caused."""
    good = node.fate in SUCCEEDS
    stops = evidence.played.did(*STOPS)
    if state == "succeeded" and not good:
        yield f"{node.step}: succeeded, but it is to end in {node.fate}"
    if state == "failed" and good:
        aborts = any(other.on_error == "abort" for other in history.nodes)
        gave_up = node.fate == "flaky" and (stops or aborts or history.fail_fast != "false")
        if not gave_up and not evidence.played.hurt & {node.step, "*"}:
            yield f"{node.step}: failed, and nothing was done to it"
    aborts = history.fail_fast == "true" or any(n.on_error == "abort" for n in history.nodes)
    if state == "canceled" and not stops and not aborts:
        yield f"{node.step}: canceled, and the run was not stopped"


def of_dagster(states: dict[str, str], killed: bool, evidence: Evidence) -> Iterator[str]:
    by_state = {state: {s for s, it in states.items() if it == state} for state in states.values()}
    expected_events = {
        "STEP_SUCCESS": by_state.get("succeeded", set()),
        "ASSET_MATERIALIZATION": by_state.get("succeeded", set()),
        "STEP_FAILURE": by_state.get("failed", set()) | by_state.get("canceled", set()),
        "STEP_SKIPPED": set(),
    }
    for event_type, steps in expected_events.items():
        found = evidence.of_type(event_type)
        # The journal is written first, and a run worker may have been killed after that.
        if not (found <= steps if killed else found == steps):
            yield f"{event_type} of {sorted(found)}, but the journal has {sorted(steps)}"
    skipped = by_state.get("skipped", set()) & evidence.of_type("STEP_START")
    if skipped:
        yield f"skipped, but started: {sorted(skipped)}"
    twice = Counter((s, t) for s, t in evidence.events if t in ("STEP_SUCCESS", "STEP_FAILURE"))
    if max(twice.values(), default=0) > 1:
        yield f"reported twice: {twice}"


def of_the_end(states: dict[str, str], evidence: Evidence) -> Iterator[str]:
    """Results file, terminal, run status and exit code of a run that was not killed."""
    if evidence.results is None or evidence.journal is None or evidence.journal.end is None:
        yield "the run's end was not written down"
        return
    results = {
        result["unique_id"].rpartition(".")[2]: result["adapter_response"]["state"]
        for result in evidence.results["results"]
        if not result["unique_id"].startswith("test.")
    }
    if results != {step.partition(".")[2]: state for step, state in states.items()}:
        yield f"run_results.json has {results}, the journal {states}"
    totals = evidence.journal.end.totals
    count = Counter(states.values())
    expected_totals = {"ERROR": "failed", "SKIP": "skipped", "CANCEL": "canceled"}
    done = " ".join(f"{word}={number}" for word, number in totals.items())
    if f"Done. {done}" not in evidence.played.terminal:
        yield f"the terminal does not say {done}"
    if any(totals[word] != count[state] for word, state in expected_totals.items()):
        yield f"the journal's end has {totals}, its steps {count}"
    good = set(states.values()) <= {"succeeded"}
    success = good and not evidence.played.stopped
    end = "success" if success else "canceled" if evidence.played.did("terminate") else "failure"
    too_late = evidence.played.late and not evidence.played.stopped
    if evidence.journal.end.status != end and not (too_late and not success):
        yield f"the journal ended as {evidence.journal.end.status}, not as {end}"
    if too_late:
        return  # Dagster takes a signal that comes after the executor for the run's failure
    if evidence.status.lower() != end:
        yield f"in Dagster it ended as {evidence.status}, not as {end}"
    if (evidence.played.exit_code == 0) != (end == "success"):
        yield f"exit code {evidence.played.exit_code} after {end}"


def expected(history: History) -> dict[str, str]:
    """The state of each step without interference, if nothing stops the run."""
    states: dict[str, str] = {}
    nodes = {node.name: node for node in history.nodes}

    def serves(name: str) -> bool:
        kept = nodes[name].on_error == "continue" and nodes[name].before
        return states[name] == "succeeded" or (states[name] == "failed" and bool(kept))

    for node in history.nodes:
        end = "succeeded" if node.fate in SUCCEEDS else "failed"
        states[node.name] = end if all(map(serves, node.upstream)) else "skipped"
    return {node.step: states[node.name] for node in history.nodes}


def of_a_clean_run(nodes: tuple[Node, ...], evidence: Evidence) -> Iterator[str]:
    """After whatever has happened the next run succeeds, and finds nothing in its way."""
    yield from of_processes(evidence)
    states = {step.step: step.state for step in evidence.journal.steps} if evidence.journal else {}
    if states != {node.step: "succeeded" for node in nodes} or evidence.played.exit_code != 0:
        code, terminal = evidence.played.exit_code, evidence.played.terminal
        yield f"the next run: {states}, exit code {code}\n{terminal}"
    expected = {
        node.relation: ("view" if node.kind == "view" else "table", CLEAN)
        for node in nodes
        if node.relation
    }
    effects = {f"main.effect_{n.name}": ("table", CLEAN) for n in nodes if not n.relation}
    # Nothing else: of dead runs no staging relation is left.
    if evidence.found.relations != {**expected, **effects}:
        yield f"after the next run: {evidence.found.relations}"
