"""Candidate processes on real clusters under a seeded schedule of faults, and who believed when."""
