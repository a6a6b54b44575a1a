"""The small things that come with the package, so that the whole line can be tried without a download."""
