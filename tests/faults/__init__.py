"""Faults made on purpose under real load, and a ledger that must balance after each."""
