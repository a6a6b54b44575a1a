"""The look of every page: style sheet, templates, plots, thumbnails, tables of words. Knows no report and no data."""
