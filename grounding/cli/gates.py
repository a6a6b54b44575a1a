"""The options by which a command fails a run that is not good enough, and how it does so.

Knows options, what they write and the exit status; how a gate is judged is not its business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from grounding.cli.model_options import PATH
from grounding.counted import counted
from grounding.errors import InputError, RunError
from grounding.evaluation.gates import DROP, OVER, UNDER, Gate, Judgement, junit, read_gates
from grounding.samples import atomic_path

_UNDER = click.option(UNDER, multiple=True, metavar="MEASURE=X", help="Exit status 1 where it is less (acc_50=0.8).")
_OVER = click.option(OVER, multiple=True, metavar="MEASURE=X", help="Where it is more (hallucination_rate=0.1).")
_BASELINE = click.option("--baseline", type=PATH, metavar="DIR", help="Report folder of a run to be held against.")
_DROP = click.option(DROP, multiple=True, metavar="MEASURE=X", help="Where it is worse by more (acc_50=0.01).")
_JUNIT = click.option("--junit", type=PATH, metavar="FILE.xml", help="The gates as JUnit XML.")


def report_gates(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a click command the gates of a report: about its own rates, and about what a baseline had."""
    for option in (_JUNIT, _DROP, _BASELINE, _OVER, _UNDER):
        command = option(command)
    return command


def comparison_gates(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a click command the gates of a comparison."""
    return _DROP(_JUNIT(command))


def gates_of(options: Mapping[str, Any], sets: Sequence[str] = ()) -> list[Gate]:
    """The gates that were asked for.

    Args:
        sets: names of the sets that ride along.

    Raises:
        InputError: one of them is wrong; `--max-drop` without `--baseline`, where there is that option; `--junit`
            without a gate.
    """
    gates = []
    for option in (UNDER, OVER, DROP):
        gates += read_gates(option, options.get(option.strip("-").replace("-", "_"), ()), sets)
    if "baseline" in options and options["baseline"] is None and any(gate.option == DROP for gate in gates):
        raise InputError("needs --baseline: the report folder of the run to be held against.", where=DROP)
    if options["junit"] is not None and not gates:
        raise InputError(f"tells of gates; give {UNDER}, {OVER} or {DROP}.", where="--junit")
    return gates


def enforce(judgements: Sequence[Judgement], path: Path | None, suite: str) -> None:
    """Says what became of each gate and writes it down; to be called when all other output is written.

    Args:
        path: of the JUnit file. suite: its name for the gates.

    Raises:
        RunError: a gate was missed.
    """
    if path is not None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(junit(judgements, suite))
    for one in judgements:
        if one.passed:
            click.echo(str(one))
    missed = [str(one) for one in judgements if not one.passed]
    if missed:
        verb = "was" if len(missed) == 1 else "were"
        gates = f"{len(missed)} of {counted(len(judgements), 'gate')} {verb} missed:"
        raise RunError("\n  ".join([gates, *missed]))
