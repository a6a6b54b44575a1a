"""Tests of the embedded model and of what draws its world."""
