"""Memory that is borrowed and given back: rows, buffers, counters. Knows no sockets and no chat."""
