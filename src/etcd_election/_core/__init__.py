"""The pure core: decisions without I/O.

Nothing below this package imports grpc, asyncio or sockets; clocks and randomness are passed in.
Both front-ends are driven by what is decided here.
"""
