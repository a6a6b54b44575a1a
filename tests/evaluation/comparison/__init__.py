"""Tests of runs held against each other."""
