"""The asyncio front-end: one event loop, and nothing decided that ``_core`` can decide."""
