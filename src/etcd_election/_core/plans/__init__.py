"""Sequences of calls, written once and carried out by both front-ends (see ``effects``)."""
