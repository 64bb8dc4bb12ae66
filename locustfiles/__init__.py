"""Load scenarios for Locust, one a file; what each shows and how to run it: docs/load.md."""
