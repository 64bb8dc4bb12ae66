"""Workers against a real Valkey and real files and sockets."""
