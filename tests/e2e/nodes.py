from bench.local import Node as Node
