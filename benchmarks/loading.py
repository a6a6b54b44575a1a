"""How much memory loading a sharded checkpoint takes, beside what the model holds in the end.

    python -m benchmarks.loading [--checkpoint DIR] [--kinds stored,float32,nf4,int8]

Without a folder, a billion random parameters in bfloat16 are written under a temporary one. Each kind is loaded in a
process of its own; what counts is anonymous resident memory (pages of the mapped files are not the process's own),
from just before the load to its peak. One thread. Linux only: it reads /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from benchmarks.timing import report

KINDS: dict[str, dict[str, Any]] = {
    "stored": {},
    "float32": {"dtype": "float32"},
    "nf4": {"quantization": "nf4"},
    "nf4 with the tower": {"quantization": "nf4", "quantize_tower": True},
    "int8": {"quantization": "int8"},
}
PAUSE = 0.005


def anonymous_bytes() -> int:
    """Anonymous resident memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no RssAnon")


class Peak:
    """The largest anonymous memory while the block runs, seen by a thread that looks every 5 ms."""

    def __enter__(self) -> Peak:
        self.before = self.peak = anonymous_bytes()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(PAUSE):
            self.peak = max(self.peak, anonymous_bytes())

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.after = anonymous_bytes()
        self.peak = max(self.peak, self.after)


def measure(folder: Path, kind: str) -> dict[str, float]:
    """Load once, in this process; MiB and the ratio of the peak to the bytes of the tensors held."""
    from transformers.utils import logging

    from grounding.models.loading import load_model

    logging.disable_progress_bar()
    # What the first load of a process brings along whatever the size: libraries, threads, the tokenizer.
    with tempfile.TemporaryDirectory() as small:
        from benchmarks.checkpoints import SMALL, write_random_checkpoint

        write_random_checkpoint(Path(small), SMALL)
        load_model(small, device="cpu", **KINDS[kind])
    started = time.perf_counter()
    with Peak() as memory:
        model = load_model(folder, device="cpu", **KINDS[kind]).model
    seconds = time.perf_counter() - started
    held = sum(tensor.nbytes for tensor in {one.data_ptr(): one for one in tensors_of(model)}.values())
    return {
        "held_mib": held / 2**20,
        "peak_mib": (memory.peak - memory.before) / 2**20,
        "after_mib": (memory.after - memory.before) / 2**20,
        "peak_over_held": (memory.peak - memory.before) / held,
        "seconds": seconds,
    }


def tensors_of(model: nn.Module) -> list[Tensor]:
    """All tensors that a model holds, those of quantisation included."""
    found: list[Tensor] = []
    for tensor in [*model.parameters(), *model.buffers()]:
        found.append(tensor.data)
        state = getattr(tensor, "quant_state", None)
        if state is not None:
            inner = state.state2
            found += [state.absmax, *([inner.absmax] if inner is not None else [])]
        scale = getattr(tensor, "SCB", None)
        if scale is not None:
            found.append(scale)
    return found


def main() -> None:
    """Measure every kind in a process of its own and write benchmarks/results/loading.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(measure(options.checkpoint, options.inside)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.checkpoint or Path(temporary)
        if options.checkpoint is None:
            from benchmarks.checkpoints import write_random_checkpoint

            write_random_checkpoint(folder)
        results = {}
        for kind in options.kinds.split(","):
            command = [sys.executable, "-m", "benchmarks.loading", "--checkpoint", str(folder), "--inside", kind]
            done = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
            )
            results[kind] = json.loads(done.stdout.splitlines()[-1])
    report(
        "loading",
        "Loading a sharded checkpoint: anonymous memory at the peak, over the bytes held in the end",
        {"parameters": 1_000_679_936, "stored": "bfloat16", "shards_mib": 256, "device": "cpu"},
        results,
        ("torch", "transformers", "safetensors", "bitsandbytes"),
    )


if __name__ == "__main__":
    main()
