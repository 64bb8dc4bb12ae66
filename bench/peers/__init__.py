"""Other servers, each asked for the same: one frame to every viewer of one room.

Rule: a peer is a file here, and one line in bench/workloads/peers.py. A library is a child that
speaks floor.c's lines (`room.Room`); a server of its own is a `program.Program` we publish to.
Rule: each runs the way its own documents call fast, without compression, on one core.
"""
