"""Tests of the report folder."""
