"""The look of every page of the house: style sheet, templates, plots, thumbnails. Knows no report and no data set."""
