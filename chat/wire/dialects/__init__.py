"""Dialects: how commands and events are written, one file for each way of speaking.

A dialect knows neither rooms nor connections; which wire carries it is `variants`' to say.
"""
