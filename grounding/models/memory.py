"""Memory: how much can be taken, and that the C library does not hold on to what loading has freed.

Knows Linux and glibc; elsewhere the one is unknown and the other does nothing. Imports no torch by itself.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Parameters of glibc's mallopt (malloc.h).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MIB = 1024**2


def free_memory(place: torch.device) -> int:
    """Bytes that can be taken on a device: of the GPU, or of the machine (/proc/meminfo; unknown counts as none)."""
    if place.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(place)[0])
    meminfo = Path("/proc/meminfo")
    lines = meminfo.read_text().splitlines() if meminfo.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)


@contextmanager
def freed_at_once() -> Iterator[None]:
    """Blocks of a mebibyte and more go back to the system when they are freed, as long as the block runs.

    By itself glibc raises that limit to 32 MiB as soon as a block of that size is freed. Matrices below it are then cut
    from a heap whose holes stay the process's own: loading a billion parameters as int8 took 1.6 times what it left,
    with this 1.0 times. At the end the limits are set to where glibc would have moved them.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        yield
        return
    mallopt(_M_MMAP_THRESHOLD, _MIB)
    try:
        yield
    finally:
        mallopt(_M_MMAP_THRESHOLD, 32 * _MIB)
        mallopt(_M_TRIM_THRESHOLD, 64 * _MIB)
