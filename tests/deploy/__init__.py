"""What is in deploy/: run where the engine for it is to be had, else asked of its validator."""
