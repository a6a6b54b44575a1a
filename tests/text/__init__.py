"""Tests of the room for words and boxes."""
