"""The processes of one run, as `torchrun` or `accelerate launch` starts them: which one this is, what the others have.

    torchrun --nproc-per-node 2 -m grounding finetune CONFIG.yaml

Knows the launcher's environment and torch's process group; it does not know what is worked on. Alone, every function is
at hand and costs nothing: torch is imported only where there are several processes.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")

PATIENCE = timedelta(hours=12)
"""How long a process waits for another one: the first may have to decode all images of a dataset. One that has failed
is not waited for, the launcher ends the others."""


def count() -> int:
    """Processes of this run, on all machines."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def number() -> int:
    """Of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_first() -> bool:
    """Whether this process speaks and writes what is written once."""
    return number() == 0


def number_here() -> int:
    """Of this process on its machine, from 0: the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


@contextmanager
def together() -> Iterator[None]:
    """Inside, `gathered` reaches the other processes. For work without a trainer, which joins them by itself."""
    if count() > 1:
        import torch.distributed as dist

        if not dist.is_initialized():
            dist.init_process_group("gloo", timeout=PATIENCE)
    yield


def gathered(own: T) -> list[T]:
    """What each process has, in their order, in every process; all of them must call it."""
    if count() == 1:
        return [own]
    import torch.distributed as dist

    everyone: list[T] = [own] * count()
    dist.all_gather_object(everyone, own)
    return everyone


@contextmanager
def ending_all() -> Iterator[None]:
    """Around all that a process does: in the end it parts with the others, and where it fails nothing waits for them.

    The launcher ends the others as soon as one has ended with an error; but a process that ends in the usual way first
    takes down its connections, and waits for whoever is waiting for it. What the others fail with then is not told.
    """
    if count() == 1:
        yield
        return
    status: object = 0
    try:
        yield
    except SystemExit as end:
        status = end.code
    except BaseException:
        status = 1
        if is_first_to_fail():
            traceback.print_exc()
    if status:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 1)
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()


def is_first_to_fail() -> bool:
    """Whether no other process has told an error before: what follows is an echo of it, or the same error again."""
    if count() == 1:
        return True
    from torch.distributed.rendezvous import rendezvous

    try:
        store, _, _ = next(rendezvous("env://", timeout=timedelta(seconds=10)))
        return bool(store.add("grounding/failed", 1) == 1)
    except (RuntimeError, ValueError):  # no launcher that could be asked: better twice than not at all
        return True
