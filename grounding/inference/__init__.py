"""Images and prompts to answer texts, with a model. Knows no truth and no metrics."""
