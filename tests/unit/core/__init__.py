"""The pure core, tested without I/O: facts and replies in, decisions out."""
