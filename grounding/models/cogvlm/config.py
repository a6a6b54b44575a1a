"""What a CogVLM is made of: sizes and names, read from and written to the published config.json layout.

Knows nothing of weights, tokenizers or files of weights. Annotations are objects in this file (no postponed ones): the
fields are checked against them, and a string would check nothing.
"""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

TEMPLATES = ("base", "chat", "vqa")
"""The prompt templates a checkpoint may name in `template_version`."""
ROPE_DTYPES = ("float32", "bfloat16")
"""What rope tables can be made in."""


@strict
class CogVLMVisionConfig(PreTrainedConfig):
    """The vision tower (EVA2-CLIP-E with norms after the sub-layers). Defaults: the published 490-pixel tower.

    Args:
        image_size: side S of the square input in pixels.
        patch_size: side p of a patch in pixels; S must be a multiple of it.
        num_positions: P + 1 with P = (S/p)^2 patches; worked out when left out.
        layer_norm_eps: of the tower's LayerNorms (the projector's LayerNorm always has 1e-5).
    """

    model_type: ClassVar[str] = "cogvlm_vision"
    base_config_key: ClassVar[str] = "vision_config"

    dropout_prob: float | int = 0.0
    hidden_act: str = "gelu"
    hidden_size: int = 1792
    image_size: int = 490
    in_channels: int = 3
    intermediate_size: int = 15360
    layer_norm_eps: float = 1e-6
    num_heads: int = 16
    num_hidden_layers: int = 63
    num_positions: int | None = None
    patch_size: int = 14

    def __post_init__(self, **kwargs: Any) -> None:
        if self.num_positions is None:
            self.num_positions = self.patch_count + 1
        super().__post_init__(**kwargs)

    @property
    def patch_count(self) -> int:
        """P, the number of patches of an image."""
        return (self.image_size // self.patch_size) ** 2

    def validate_architecture(self) -> None:
        """Raises ValueError when the sizes do not fit each other."""
        if self.image_size % self.patch_size:
            raise ValueError(f"image_size {self.image_size} is no multiple of patch_size {self.patch_size}")
        if self.hidden_size % self.num_heads:
            raise ValueError(f"vision hidden_size {self.hidden_size} is no multiple of num_heads {self.num_heads}")
        if self.num_positions != self.patch_count + 1:
            raise ValueError(
                f"num_positions is {self.num_positions}, but image_size {self.image_size} and patch_size "
                f"{self.patch_size} make {self.patch_count} patches and one position more"
            )


@strict
class CogVLMConfig(PreTrainedConfig):
    """A whole CogVLM. Defaults: the published 490-pixel, 17-billion-parameter model.

    Args:
        rms_norm_eps: 1e-6 as in the original class; published checkpoints say 1e-5 in their config.json.
        template_version: the prompt template the checkpoint was trained with, one of `TEMPLATES`.
        rope_dtype: "float32", or "bfloat16" for the arithmetic of the published code in a bfloat16 model, whose angles
            are off by up to 0.2 radians. No key of published files: it is written only where it is not float32.
        vision_config: the tower, as a mapping or a CogVLMVisionConfig.
    """

    model_type: ClassVar[str] = "cogvlm"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    hidden_act: str = "silu"
    max_position_embeddings: int = 2048
    initializer_range: float = 0.02
    rms_norm_eps: float = 1e-6
    template_version: str = "base"
    rope_dtype: str = "float32"
    pad_token_id: int | None = 0
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    tie_word_embeddings: bool = False
    use_cache: bool = True
    vision_config: dict[str, Any] | CogVLMVisionConfig | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        # Published files point at Python files of their own; this class stands in for them.
        kwargs.pop("auto_map", None)
        if not isinstance(self.vision_config, CogVLMVisionConfig):
            self.vision_config = CogVLMVisionConfig(**(self.vision_config or {}))
        super().__post_init__(**kwargs)

    @property
    def head_size(self) -> int:
        """d, the width of one decoder head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def vision(self) -> CogVLMVisionConfig:
        """The tower's part, typed."""
        assert isinstance(self.vision_config, CogVLMVisionConfig)
        return self.vision_config

    @property
    def image_token_count(self) -> int:
        """P + 2, the positions an image takes: boi, the patches, eoi."""
        return self.vision.patch_count + 2

    def validate_architecture(self) -> None:
        """Raises ValueError when the sizes do not fit each other or name what CogVLM does not have."""
        if self.hidden_size % self.num_attention_heads or self.head_size % 2:
            raise ValueError(
                f"hidden_size {self.hidden_size} over num_attention_heads {self.num_attention_heads} "
                "must be an even whole number"
            )
        if self.template_version not in TEMPLATES:
            raise ValueError(f"template_version {self.template_version!r} is none of {', '.join(TEMPLATES)}")
        if self.rope_dtype not in ROPE_DTYPES:
            raise ValueError(f"rope_dtype {self.rope_dtype!r} is none of {', '.join(ROPE_DTYPES)}")
        if self.tie_word_embeddings:
            raise ValueError("tie_word_embeddings must be false: CogVLM's lm_head has weights of its own")

    def to_diff_dict(self) -> dict[str, Any]:
        """The config.json layout of published checkpoints: a plain vision_config, the dtype under `torch_dtype`."""
        published = super().to_diff_dict()
        published.update({name: getattr(self, name) for name in _own_fields(CogVLMConfig)})
        published["vision_config"] = {name: getattr(self.vision, name) for name in _own_fields(CogVLMVisionConfig)}
        if self.rope_dtype == ROPE_DTYPES[0]:
            del published["rope_dtype"]
        if "dtype" in published:
            published["torch_dtype"] = published.pop("dtype")
        return published


def _own_fields(config_class: type[PreTrainedConfig]) -> list[str]:
    """The fields that a config class itself declares, sorted; class variables left out."""
    return sorted(name for name, kind in config_class.__annotations__.items() if "ClassVar" not in str(kind))
