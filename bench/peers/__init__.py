"""Other servers, each asked for the same: rooms that one gets into, idles in, and is heard in.

Rule: a peer is a file here, and one line in `everyone.py`. A library is a child (`room.Room`) that
speaks floor.c's lines or serves rooms; a server of its own is a `program.Program` we publish to.
Rule: each runs the way its own documents call fast, without compression, on one core.
"""
