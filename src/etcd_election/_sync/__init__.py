"""The blocking front-end: threads, and nothing decided that ``_core`` can decide."""
