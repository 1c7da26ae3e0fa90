"""The tests; a package so that `tests.support` is found, and nothing of `src` is."""
