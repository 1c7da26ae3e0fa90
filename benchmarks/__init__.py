"""How fast the library is, how small, and what it costs etcd: measured on a real one, side by side.

Two programs, each with tables in Markdown as its output:

    python -m benchmarks --etcd PATH          ratios, against raw stubs and etcd's Go package
    python -m benchmarks.scale --etcd PATH    thousands of elections, of candidates, and of terms

`make bench` and `make bench-scale` run them with the newest etcd found. What the rows mean and what
was measured last is in docs/performance.md.
"""
