"""Processes with any number of clients in them, told in lines of JSON what to do.

`blocking` and `aio` are of the library, `bare` of raw stubs. An order is `[NAME, {ARGUMENTS}]`, the
name of a method; the answer is what it returns. Instants are of CLOCK_MONOTONIC, which all
processes of a machine share.
"""
