"""Who is compared: each a process of its own, so that none is held up by another.

A peer does the same works as the others, `campaign`, `session`, `connection`, `handover` and
`lead`, in its own way; `blocking` and `aio` have the works, the other modules the ways.
"""

TTL = 3600
"""Of every lease, in seconds: raw stubs renew nothing, and nobody's renewals disturb the others."""
PATIENCE = 30.0
"""Seconds after which something that waits has failed."""
