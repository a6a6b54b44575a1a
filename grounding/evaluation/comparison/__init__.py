"""Runs over the same samples held against each other."""
