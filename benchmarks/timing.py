"""Times contenders side by side in one process, turn by turn, and writes the result with what the machine was doing.

Knows nothing of what is timed. Ratios of one run count; absolute seconds depend on the machine and its load.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

from rich.table import Table

from grounding.cli.tables import output, print_whole
from grounding.samples import write_json_atomic

RESULTS = Path(__file__).resolve().parent / "results"


def side_by_side(
    contenders: Mapping[str, Callable[[], object]], *, rounds: int = 5, warm_up: int = 1
) -> dict[str, dict[str, float]]:
    """CPU seconds of each contender, called in turn A B C A B C ... so that a drift of the machine hits all alike.

    Returns:
        name -> {"median_cpu_s", "min_cpu_s", "median_wall_s", "ratio"}; ratio is the median over rounds of this
        contender's CPU time over the first one's in the same round.
    """
    for _ in range(warm_up):
        for call in contenders.values():
            call()
    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    wall: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            started_cpu, started_wall = time.process_time(), time.perf_counter()
            call()
            cpu[name].append(time.process_time() - started_cpu)
            wall[name].append(time.perf_counter() - started_wall)
    first = next(iter(contenders))
    return {
        name: {
            "median_cpu_s": statistics.median(cpu[name]),
            "min_cpu_s": min(cpu[name]),
            "median_wall_s": statistics.median(wall[name]),
            "ratio": statistics.median(mine / base for mine, base in zip(cpu[name], cpu[first], strict=True)),
        }
        for name in contenders
    }


def report(
    name: str,
    question: str,
    settings: Mapping[str, object],
    results: Mapping[str, Mapping[str, float]],
    packages: tuple[str, ...],
) -> Path:
    """Prints the table and writes `benchmarks/results/<name>.json`; returns its path."""
    table = Table(title=question)
    table.add_column("contender")
    columns = list(dict.fromkeys(column for figures in results.values() for column in figures))
    for column in columns:
        table.add_column(column, justify="right")
    for contender, figures in results.items():
        table.add_row(contender, *(f"{figures[column]:.4g}" if column in figures else "" for column in columns))
    print_whole(output(), table)
    document = {
        "question": question,
        "settings": dict(settings),
        "machine": {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "load": os.getloadavg(),
        },
        "versions": {package: version(package) for package in packages},
        "results": {contender: dict(figures) for contender, figures in results.items()},
    }
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    write_json_atomic(path, document)
    return path
