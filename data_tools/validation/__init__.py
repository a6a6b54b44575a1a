"""Can a dataset be trained on, and can numbers measured on it be believed? Knows samples and their words, no model."""
