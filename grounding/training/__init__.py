"""From samples to a trained model: encoding, mixing, checks before the first step, trainer, run. Loads torch."""
