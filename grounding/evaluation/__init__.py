"""Measures answers: read, match, count, report. No torch here but in `predict`."""
