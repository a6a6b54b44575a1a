"""Memory of a computation that is not carried out: tensors without storage, and the most of them alive at once.

Knows tensors and their sizes (torch's fake tensors); it does not know models.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.weak import WeakIdKeyDictionary


@contextmanager
def without_memory(model: nn.Module) -> Iterator[None]:
    """Inside, tensors have shape, dtype, device and gradients, and take no memory.

    Those of the model, made on the meta device, become such tensors and are of no use behind the block.
    """
    with FakeTensorMode():
        for module in model.modules():
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    plain = torch.empty(parameter.shape, dtype=parameter.dtype, device="cpu")
                    module._parameters[name] = nn.Parameter(plain, requires_grad=parameter.requires_grad)
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device="cpu")
        yield


class Alive(TorchDispatchMode):
    """Bytes of the tensors that operations inside have made and that are still referred to; `peak` is the most.

    Views cost nothing; memory that an operation needs only inside itself is not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: WeakIdKeyDictionary = WeakIdKeyDictionary()

    def known(self, tensors: Iterable[Tensor]) -> None:
        """Tensors that were there before: they do not count."""
        for tensor in tensors:
            self._seen[tensor.untyped_storage()] = None

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_iter(result):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        if storage in self._seen:
            return
        size = storage.nbytes()
        self._seen[storage] = None
        weakref.finalize(storage, self._gone, size)
        self.now += size
        self.peak = max(self.peak, self.now)

    def _gone(self, size: int) -> None:
        self.now -= size
