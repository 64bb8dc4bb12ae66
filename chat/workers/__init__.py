"""What follows the streams beside the shards and does something durable with what is in them:
archives and webhooks. Workers of a group share the partitions among them.
"""
