"""How many samples a page shows, unless another number is asked for. Knows nothing else, so that help can say it."""

from __future__ import annotations

MOST_PICTURED = 1000  # samples with a picture in the gallery of a report
MOST_COMPARED = 200  # samples in the gallery of a comparison, whose pictures all lie inside
