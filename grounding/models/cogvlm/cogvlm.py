"""The whole CogVLM: ids, token types and pixels in, logits and a loss out, and generation.

Takes tensors only; knows nothing of tokenizers, prompts, files or boxes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicCache
from transformers.generation import GenerationMixin
from transformers.masking_utils import create_causal_mask
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.utils.generic import can_return_tuple

from grounding.models.cogvlm.attention import rope_tables
from grounding.models.cogvlm.config import CogVLMConfig
from grounding.models.cogvlm.decoder import CogVLMDecoderLayer, CogVLMRMSNorm
from grounding.models.cogvlm.experts import Readers, TokenLayout, token_layout
from grounding.models.cogvlm.joined import can_join
from grounding.models.cogvlm.label_loss import summed_cross_entropy
from grounding.models.cogvlm.positions import (
    LANGUAGE,
    VISION,
    branch_position_ids,
    image_position_ids,
    predictor_of,
    reach_of,
)
from grounding.models.cogvlm.visibility import RowSight, Sight, branch_sight
from grounding.models.cogvlm.vision import CogVLMVisionTower
from grounding.models.cogvlm.weights import CogVLMPreTrainedModel

NO_LABEL = -100
"""The label of a token that is not trained."""


class CogVLMModel(CogVLMPreTrainedModel):
    """Embeddings, vision tower and decoder: everything but the head."""

    def __init__(self, config: CogVLMConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.layers = nn.ModuleList(CogVLMDecoderLayer(config, i) for i in range(config.num_hidden_layers))
        self.norm = CogVLMRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.vision = CogVLMVisionTower(config)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        position_ids: Tensor | None = None,
        branch_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        read: Tensor | None = None,
        last_columns: int = 0,
    ) -> BaseModelOutputWithPast:
        """As `CogVLMForCausalLM.forward`; `last_hidden_state` is float[B, T, D] after the final norm.

        Args:
            read: int64[M], the places (row * T + column) whose last state is wanted: the last layer then works out only
                these, no layer what none of them sees, and `last_hidden_state` is float[M, D].
            last_columns: only the last states of so many columns are wanted, 0: of all. The last layer then works out
                only these, of the others no more than keys and values, and `last_hidden_state` is float[B, C, D].
        """
        embeddings = self._embed(input_ids, inputs_embeds, token_type_ids, pixel_values)
        rows, columns = embeddings.shape[:2]
        if use_cache if use_cache is not None else self.config.use_cache and not self.training:
            past_key_values = DynamicCache() if past_key_values is None else past_key_values
        past = past_key_values.get_seq_length() if past_key_values is not None else 0
        if branch_ids is not None and past:
            raise ValueError("branch_ids are for whole sequences: they cannot continue a key-value cache")

        real = _real_tokens(attention_mask, branch_ids, columns)
        if position_ids is None:
            types = torch.full((rows, columns), LANGUAGE, device=embeddings.device)
            position_ids = _positions(types if token_type_ids is None else token_type_ids, real, branch_ids, past)
        if read is not None:
            needed = reach_of(read, branch_ids, rows, columns)
            real = needed if real is None else needed & real
            branch_ids = None if branch_ids is None else branch_ids.where(real, -1)
        layout = token_layout(rows, columns, token_type_ids, real)
        if past == 0 and real is not None and attention_mask is not None and _only_on_the_right(real):
            attention_mask = None  # causality hides it from every real token, and kernels without a mask are faster
        sight = self._sight(embeddings, attention_mask, branch_ids, layout, past_key_values)
        frequencies = self.layers[0].self_attn.rotary_emb.frequencies(self.config.rope_dtype).to(embeddings.device)
        rope = rope_tables(layout.to_tokens(position_ids.expand(rows, columns)), frequencies)

        keep_states = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        states: list[Tensor] = []
        tokens = layout.to_tokens(embeddings)
        readers, arrange = _readers(layout, read, 0 if keep_states else last_columns, tokens.device)
        for number, layer in enumerate(self.layers, start=1):
            if keep_states:
                states.append(layout.to_rows(tokens))
            wanted = readers if number == len(self.layers) else None
            if wanted is not None:
                sight = sight.read_by(wanted.tokens)
            tokens = layer(
                tokens, layout=layout, rope=rope, sight=sight, past_key_values=past_key_values, readers=wanted
            )
        hidden = arrange(self.norm(tokens))
        return BaseModelOutputWithPast(
            last_hidden_state=hidden,
            past_key_values=past_key_values,
            hidden_states=(*states, hidden) if keep_states else None,
        )

    def _embed(
        self, input_ids: Tensor | None, embeddings: Tensor | None, types: Tensor | None, pixel_values: Tensor | None
    ) -> Tensor:
        """float[B, T, D]: the token embeddings, overwritten at image positions by the tower's vectors in row order."""
        if (input_ids is None) == (embeddings is None):
            raise ValueError("give either input_ids or inputs_embeds")
        if embeddings is None:
            embeddings = self.embed_tokens(input_ids)
        elif pixel_values is None:
            return embeddings
        if pixel_values is None and (types is None or types.shape[1] == 1):
            return embeddings
        is_image = torch.zeros_like(embeddings[..., 0], dtype=torch.bool) if types is None else types == VISION
        places, width = int(is_image.sum()), self.config.image_token_count
        images = 0 if pixel_values is None else len(pixel_values)
        if places != images * width:
            raise ValueError(
                f"token_type_ids mark {places} image positions, but pixel_values hold {images} images of {width} each"
            )
        if pixel_values is None:
            return embeddings
        features = self.vision(pixel_values).to(embeddings.device, embeddings.dtype)
        return embeddings.masked_scatter(is_image[..., None], features)

    def _sight(
        self,
        embeddings: Tensor,
        attention_mask: Tensor | None,
        branch_ids: Tensor | None,
        layout: TokenLayout,
        past: Cache | None,
    ) -> Sight:
        """Whom each token sees, with masks as the attention implementation wants them."""
        # Positions stay out of the masks: patches share theirs, which would read as packed sequences.
        if branch_ids is None:
            return RowSight(
                layout, create_causal_mask(self.config, embeddings, attention_mask, past, position_ids=None)
            )
        if self.config._attn_implementation not in ("eager", "sdpa"):
            raise ValueError(
                f"branch_ids need attention 'eager' or 'sdpa': {self.config._attn_implementation!r} takes no such mask"
            )
        return branch_sight(
            branch_ids,
            layout,
            lambda columns: create_causal_mask(self.config, embeddings[:, :columns], None, None, position_ids=None),
            joined=self.config._attn_implementation == "sdpa" and can_join(embeddings.device),
        )


def _real_tokens(attention_mask: Tensor | None, branch_ids: Tensor | None, columns: int) -> Tensor | None:
    """bool[B, T], False at padding, or None when nothing says that there is any."""
    if branch_ids is not None:
        return branch_ids >= 0
    if attention_mask is None or attention_mask.ndim != 2:
        return None
    return attention_mask[:, -columns:].bool()


def _readers(
    layout: TokenLayout, read: Tensor | None, last_columns: int, device: torch.device
) -> tuple[Readers | None, Callable[[Tensor], Tensor]]:
    """The tokens whose last state is wanted, each once, None for all; and what makes the result of a list of them."""
    if read is not None:
        tokens, reading = layout.index_of(read).unique(return_inverse=True)
        return Readers(tokens, int((tokens < layout.vision).sum())), lambda states: states.index_select(0, reading)
    if 0 < last_columns < layout.columns:
        readers, kept = layout.last_columns(last_columns, device)
        return readers, kept.to_rows
    return None, layout.to_rows


def _only_on_the_right(real: Tensor) -> bool:
    """Whether padding, if any, stands behind all real tokens of each row."""
    return not bool((real[:, 1:] & ~real[:, :-1]).any())


def _positions(types: Tensor, real: Tensor | None, branch_ids: Tensor | None, past: int) -> Tensor:
    if past:
        raise ValueError(
            "position_ids are needed to continue a key-value cache: patches share one, so the length does not tell "
            "them. The next id is the last one plus 1."
        )
    if branch_ids is None:
        return image_position_ids(types, real)
    if bool(((types == VISION) & (branch_ids > 0)).any()):
        raise ValueError("an image must stand in the prefix (branch 0), for all branches to see")
    return branch_position_ids(types, branch_ids)


class CogVLMForCausalLM(CogVLMPreTrainedModel, GenerationMixin):
    """CogVLM with its language head."""

    # The Trainer then hands over the label tokens of the whole optimizer step as `num_items_in_batch`.
    accepts_loss_kwargs = True

    def __init__(self, config: CogVLMConfig) -> None:
        super().__init__(config)
        self.model = CogVLMModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        labels: Tensor | None = None,
        position_ids: Tensor | None = None,
        branch_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        label_logits_only: bool = False,
        num_items_in_batch: Tensor | int | None = None,
        logits_to_keep: int = 0,
    ) -> CausalLMOutputWithPast:
        """Logits and, with labels, the loss.

        Args:
            input_ids: int64[B, T].
            token_type_ids: int64[B, T], 1 at the P + 2 positions of an image; None: text only.
            attention_mask: int64[B, T] (with a cache [B, past + T]), 0 at padding.
            pixel_values: float[n, 3, S, S], the images of the rows that have one, in row order; None: text only. With
                n = 0 the tower runs on nothing and gets gradients of zero, as ranks need that train it together.
            labels: int64[B, T] aligned with `input_ids`, -100 where nothing is trained.
            position_ids: int64[B, T]; worked out when left out, except behind a cache.
            branch_ids: int64[B, T], 0 prefix, 1..K branch, -1 padding (see `branch_sight`).
            inputs_embeds: float[B, T, D] in place of `input_ids`.
            past_key_values: earlier keys and values, to continue them.
            use_cache: keep keys and values; by default as the config says, but not in training mode or with labels.
            output_attentions: refused when asked for (adapters pass it along unasked).
            label_logits_only: work out logits only where they predict a label: float32[M, V] in row order.
            num_items_in_batch: label tokens of the global batch, by which the summed loss is divided; the label
                tokens of this call when left out.
            logits_to_keep: without labels, logits of the last so many columns only, [B, C, V]; 0 for all.

        Returns:
            `loss` float32 or None, `logits` float32[B, T, V], `past_key_values` and, when asked for, `hidden_states`:
            the input of each layer and the output of the final norm.

        Raises:
            ValueError: the tensors contradict each other.
        """
        if output_attentions:
            raise ValueError("output_attentions is not available")
        if label_logits_only and labels is None:
            raise ValueError("label_logits_only needs labels")
        read, targets = None, None
        if labels is not None:
            rows, columns = (labels[:, 1:] != NO_LABEL).nonzero(as_tuple=True)
            targets = labels[rows, columns + 1]
            read = rows * labels.shape[1] + predictor_of(branch_ids, rows, columns + 1)
        output = self.model(
            input_ids=input_ids,
            token_type_ids=token_type_ids,
            attention_mask=attention_mask,
            pixel_values=pixel_values,
            position_ids=position_ids,
            branch_ids=branch_ids,
            inputs_embeds=inputs_embeds,
            past_key_values=past_key_values,
            use_cache=False if use_cache is None and labels is not None else use_cache,
            output_hidden_states=output_hidden_states,
            read=read if label_logits_only else None,
            last_columns=logits_to_keep if labels is None else 0,
        )
        hidden, loss = output.last_hidden_state, None
        if labels is None:
            hidden = hidden[:, -logits_to_keep:]
        logits = self.lm_head(hidden).float()
        if targets is not None:
            predicting = logits if label_logits_only else logits.flatten(0, 1)[read]
            total = summed_cross_entropy(predicting, targets)
            loss = total / (max(len(targets), 1) if num_items_in_batch is None else num_items_in_batch)
        return CausalLMOutputWithPast(
            loss=loss, logits=logits, past_key_values=output.past_key_values, hidden_states=output.hidden_states
        )

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, is_first_iteration: bool | None = False, use_cache: bool = True, **kwargs: Any
    ) -> dict[str, Any]:
        """Inputs of one step; the image goes in with the prompt and is in the cache from then on."""
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(
            input_ids, is_first_iteration=is_first_iteration, use_cache=use_cache, **kwargs
        )
        if use_cache and not is_first_iteration:
            inputs.pop("pixel_values", None)
        return inputs

    def _prepare_attention_mask_for_generation(self, inputs_tensor: Tensor, *_: Any) -> Tensor:
        """All ones: the pad id also stands at image positions, so ids do not tell where padding is."""
        return torch.ones(inputs_tensor.shape[:2], dtype=torch.long, device=inputs_tensor.device)

    def _prepare_position_ids_for_generation(self, inputs_tensor: Tensor, model_kwargs: dict[str, Any]) -> Tensor:
        """Positions of the prompt; each new token counts one on from the last."""
        mask = model_kwargs.get("attention_mask")
        if mask is not None and not bool(mask[:, -1].all()):
            raise ValueError("pad prompts on the left to generate: behind padding on the right an answer goes wrong")
        types = model_kwargs.get("token_type_ids")
        if types is None:
            types = torch.full(inputs_tensor.shape[:2], LANGUAGE, device=inputs_tensor.device)
        return image_position_ids(types, mask)

    def _update_model_kwargs_for_generation(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As ever, and the new token is text even where the prompt ended with an image."""
        updated: dict[str, Any] = super()._update_model_kwargs_for_generation(*args, **kwargs)
        if updated.get("token_type_ids") is not None:
            updated["token_type_ids"] = updated["token_type_ids"].clone()
            updated["token_type_ids"][:, -1] = LANGUAGE
        return updated
