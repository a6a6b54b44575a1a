"""The report folder: report.json, samples.jsonl, report.html and report_files/. Knows what was measured, not how."""
