from bench.local import free_port


def test_a_port_is_not_given_again_to_who_asks_for_another() -> None:
    ports = [free_port() for _ in range(300)]
    assert len(set(ports)) == len(ports)
