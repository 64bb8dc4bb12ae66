"""Benchmarks: what a delivery, a join and an idle viewer cost, next to what the kernel charges.

`python -m bench` runs every workload in `bench/workloads/`; a new workload is a new file there.
"""
