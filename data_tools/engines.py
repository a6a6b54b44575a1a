"""Where work that falls into independent parts is done: here, in processes of this machine, or on a Ray cluster.

Results come in the order of the parts, so what is made of them is the same whatever does the work. Knows nothing of the
work.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Literal, NamedTuple, TypeVar, get_args

from grounding.closest import did_you_mean
from grounding.errors import InputError

Part = TypeVar("Part")
Result = TypeVar("Result")

EngineName = Literal["local", "ray"]
ENGINES: tuple[str, ...] = get_args(EngineName)
MOST = 64  # processes; more of them wait for the disk


class Engine(NamedTuple):
    """Something that does work, and how many parts of it at a time. With one worker, `local` is this very process."""

    name: EngineName = "local"
    workers: int = 1

    def map(self, work: Callable[[Part], Result], parts: Sequence[Part]) -> Iterator[Result]:
        """The result of each part, in order.

        Args:
            work: a function of a module, which other processes can import.
            parts: what they are given; it goes to them as a copy, and so do the results to here.

        Raises:
            InputError: the engine is not installed; and whatever the work raises.
        """
        if self.name == "ray":
            return _on_ray(work, parts, self.workers)
        if self.workers == 1 or len(parts) < 2:
            return map(work, parts)
        return _in_processes(work, parts, self.workers)


def engine_of(name: str, workers: int | None) -> Engine:
    """The engine of a name with so many workers; None: as many as cores that this process may use.

    Raises:
        InputError: there is no such engine, or fewer than one worker.
    """
    chosen = next((known for known in get_args(EngineName) if known == name), None)
    if chosen is None:
        problem = f"there is no engine {name!r}; there are {', '.join(ENGINES)}"
        raise InputError(problem, where="--engine", fix=did_you_mean(name, ENGINES))
    if workers is not None and workers < 1:
        raise InputError(f"{workers} workers do nothing; 1 or more are needed", where="--workers")
    return Engine(chosen, min(workers or cores(), MOST))


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_processes(work: Callable[[Part], Result], parts: Sequence[Part], workers: int) -> Iterator[Result]:
    # Spawned, not forked: a fork of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(parts)), mp_context=context) as pool:
        futures = [pool.submit(work, part) for part in parts]
        try:
            for future in futures:
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _on_ray(work: Callable[[Part], Result], parts: Sequence[Part], workers: int) -> Iterator[Result]:
    """On the cluster that this process is connected to, or that RAY_ADDRESS names; else on one made on this machine."""
    ray = _import_ray()
    own = not ray.is_initialized()
    if own:
        there = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers}
        ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False, **there)
    try:
        task = ray.remote(work)
        waiting = [task.remote(part) for part in parts]
        for reference in waiting:
            try:
                yield ray.get(reference)
            except ray.exceptions.RayTaskError as error:
                raise (error.cause or error) from None
    finally:
        if own:
            ray.shutdown()


def _import_ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise InputError("ray is not installed", where="--engine ray", fix="pip install 'grounding[ray]'") from error
