"""Wires: how the bytes of one socket become messages, and messages bytes. One file each."""
