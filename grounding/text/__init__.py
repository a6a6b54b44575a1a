"""Words and boxes: the grid, the box text, the not-found sentences and the wordings. Knows no image and no model."""

from __future__ import annotations

from grounding.text.automaton import Automaton, answer_automaton
from grounding.text.cost import TOKENS_PER_BOX, text_tokens
from grounding.text.dialects import COGVLM, DIALECTS, Dialect, dialect_named
from grounding.text.expressions import GEOMETRIES, expressions, fill_expression
from grounding.text.grammar import Written, read_boxes, read_written, reading_order, write_boxes, write_many
from grounding.text.grid import GRID, Scale, grid_ceiling, to_grid, to_pixels
from grounding.text.mirror import mirror_boxes, mirror_words
from grounding.text.prompts import (
    FORMS,
    NO_MORE,
    NONE_YET,
    Wording,
    around_boxes,
    fill_all,
    fill_answer,
    fill_clause,
    fill_presence,
    fill_prompt,
    load_wordings,
    not_found_clauses,
    pick,
)
from grounding.text.reading import NOT_FOUND, REASONS, Reading, Refusal, is_not_found, not_found_sentences

__all__ = [
    "COGVLM",
    "DIALECTS",
    "FORMS",
    "GEOMETRIES",
    "GRID",
    "NONE_YET",
    "NOT_FOUND",
    "NO_MORE",
    "REASONS",
    "TOKENS_PER_BOX",
    "Automaton",
    "Dialect",
    "Reading",
    "Refusal",
    "Scale",
    "Wording",
    "Written",
    "answer_automaton",
    "around_boxes",
    "dialect_named",
    "expressions",
    "fill_all",
    "fill_answer",
    "fill_clause",
    "fill_expression",
    "fill_presence",
    "fill_prompt",
    "grid_ceiling",
    "is_not_found",
    "load_wordings",
    "mirror_boxes",
    "mirror_words",
    "not_found_clauses",
    "not_found_sentences",
    "pick",
    "read_boxes",
    "read_written",
    "reading_order",
    "text_tokens",
    "to_grid",
    "to_pixels",
    "write_boxes",
    "write_many",
]
