"""Many of everything: elections, candidates, terms, and what they cost."""
