"""Annotations to samples: readers, checks, splits, wordings, writers. Knows no model and imports no torch."""
