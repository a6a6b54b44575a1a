"""What of a model is trained: named sets of modules, LoRA adapters, and freezing. Loads torch."""
