"""One process, one epoll connection group. Knows WebSocket, not chat."""
