"""What may be set: sections with their defaults, and how file and environment are read.

Every mistake is refused by its path, all of them at once.
"""
