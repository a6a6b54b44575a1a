"""CogVLM for transformers 5, reading and writing the published checkpoint layout without remote code."""

from __future__ import annotations

from grounding.models.cogvlm.cogvlm import CogVLMForCausalLM, CogVLMModel
from grounding.models.cogvlm.config import CogVLMConfig, CogVLMVisionConfig
from grounding.models.cogvlm.processor import CogVLMProcessor, Encoded

__all__ = ["CogVLMConfig", "CogVLMForCausalLM", "CogVLMModel", "CogVLMProcessor", "CogVLMVisionConfig", "Encoded"]
