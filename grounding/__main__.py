"""`python -m grounding`: the same as the console script `grounding`."""

from __future__ import annotations

from grounding.cli.main import main

main()
