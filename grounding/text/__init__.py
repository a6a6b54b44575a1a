"""Words and boxes: the grid, the box text, the not-found sentences and the wordings. Knows no image and no model."""

from __future__ import annotations

from grounding.text.automaton import Automaton, answer_automaton
from grounding.text.dialects import COGVLM, DIALECTS, Dialect, dialect_named
from grounding.text.grammar import Written, read_boxes, read_written, write_boxes
from grounding.text.grid import GRID, Scale, grid_ceiling, to_grid, to_pixels
from grounding.text.prompts import (
    Wording,
    fill_answer,
    fill_prompt,
    load_wordings,
    not_found_clauses,
    pick,
)
from grounding.text.reading import NOT_FOUND, REASONS, Reading, Refusal, is_not_found, not_found_sentences

__all__ = [
    "COGVLM",
    "DIALECTS",
    "GRID",
    "NOT_FOUND",
    "REASONS",
    "Automaton",
    "Dialect",
    "Reading",
    "Refusal",
    "Scale",
    "Wording",
    "Written",
    "answer_automaton",
    "dialect_named",
    "fill_answer",
    "fill_prompt",
    "grid_ceiling",
    "is_not_found",
    "load_wordings",
    "not_found_clauses",
    "not_found_sentences",
    "pick",
    "read_boxes",
    "read_written",
    "to_grid",
    "to_pixels",
    "write_boxes",
]
