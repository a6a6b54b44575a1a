"""One script per question; each prints a table and writes one JSON into benchmarks/results/."""
