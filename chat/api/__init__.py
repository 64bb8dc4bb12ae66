"""The HTTP API, in a process of its own: publish, observe, and the page.

Rules. It publishes the way a shard does, through `chat.bus`; it holds no
connection to viewers and knows none of them. Whatever is wrong with a request is a 4xx that names
the field.
"""
