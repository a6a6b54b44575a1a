"""The common base of CogVLM's parts: what transformers must know of them, and how fresh weights are drawn.

Knows nothing of files; names and shapes of published tensors are those of the modules themselves.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init

from grounding.errors import InputError
from grounding.models.cogvlm.attention import RopeFrequencies, rope_frequencies
from grounding.models.cogvlm.config import CogVLMConfig


class CogVLMPreTrainedModel(PreTrainedModel):
    """Loading, saving and initialisation."""

    config: CogVLMConfig
    config_class = CogVLMConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = ["CogVLMDecoderLayer", "CogVLMVisionLayer"]
    _skip_keys_device_placement: ClassVar[list[str]] = ["past_key_values"]
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_attention_backend = True
    # Some exports of the published checkpoints leave the frequencies out; they follow from the head size.
    _keys_to_ignore_on_load_missing: ClassVar[list[str]] = [r"rotary_emb\.inv_freq"]

    @classmethod
    def from_pretrained(cls, *args: Any, output_loading_info: bool = False, **kwargs: Any) -> Any:
        """As transformers', but tensors that are missing or left over are an error instead of a warning.

        Raises:
            InputError: the weights are not those that the config describes.
        """
        model, info = super().from_pretrained(*args, output_loading_info=True, **kwargs)
        wrong = {kind: sorted(info[f"{kind}_keys"]) for kind in ("missing", "unexpected") if info[f"{kind}_keys"]}
        if wrong:
            found = "; ".join(f"{len(names)} {kind} tensors: {', '.join(names[:6])}" for kind, names in wrong.items())
            raise InputError(f"the weights are not those that the config describes: {found}.", where=str(args[0]))
        return (model, info) if output_loading_info else model

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Matrices, embeddings and the three single vectors come from N(0, initializer_range); the rest is fixed."""
        super()._init_weights(module)
        if isinstance(module, RopeFrequencies):
            init.copy_(module.inv_freq, rope_frequencies(module.head_size))
        for name in ("cls_embedding", "boi", "eoi"):
            vector = module._parameters.get(name)
            if vector is not None:
                init.normal_(vector, mean=0.0, std=self.config.initializer_range)
