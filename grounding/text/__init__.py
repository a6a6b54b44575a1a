"""Words and boxes: the grid, the box text, the not-found sentences and the wordings. Knows no image and no model."""

from __future__ import annotations

from grounding.text.automaton import Automaton, answer_automaton
from grounding.text.grammar import (
    NOT_FOUND,
    REASONS,
    Reading,
    Refusal,
    Written,
    is_not_found,
    not_found_sentences,
    read_boxes,
    write_boxes,
)
from grounding.text.grid import grid_ceiling, to_grid, to_pixels
from grounding.text.prompts import (
    Wording,
    fill_answer,
    fill_prompt,
    load_wordings,
    not_found_clauses,
    pick,
)

__all__ = [
    "NOT_FOUND",
    "REASONS",
    "Automaton",
    "Reading",
    "Refusal",
    "Wording",
    "Written",
    "answer_automaton",
    "fill_answer",
    "fill_prompt",
    "grid_ceiling",
    "is_not_found",
    "load_wordings",
    "not_found_clauses",
    "not_found_sentences",
    "pick",
    "read_boxes",
    "to_grid",
    "to_pixels",
    "write_boxes",
]
