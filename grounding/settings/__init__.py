"""What a fine-tuning run is told: typed settings from a YAML file and `key=value` words.

Loads no torch. Paths are relative to the working directory, so that the commands at the head of the shipped
configurations run from the repository's root.
"""

from grounding.settings.read import read_architecture, read_settings, read_with_places
from grounding.settings.schema import DataSource, FinetuneSettings, LabelWeightSettings, without_effect
from grounding.settings.write import differences, settings_yaml, template_settings

__all__ = [
    "DataSource",
    "FinetuneSettings",
    "LabelWeightSettings",
    "differences",
    "read_architecture",
    "read_settings",
    "read_with_places",
    "settings_yaml",
    "template_settings",
    "without_effect",
]
