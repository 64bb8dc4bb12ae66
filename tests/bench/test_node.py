"""A node that is measured, as the workloads look into it."""

from redis import Redis

from bench.node import Node


def test_its_store_is_found_among_what_listens_beside_it() -> None:
    with Node() as node, Redis(unix_socket_path=str(node.engine_socket)) as redis:
        assert redis.ping()
        assert redis.info("server")["process_id"] in node.engine
