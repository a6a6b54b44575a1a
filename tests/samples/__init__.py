"""Tests of samples, their files and their images."""
