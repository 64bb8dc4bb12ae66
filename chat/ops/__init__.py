"""The operator's side: the embedded engine, the machine, its examination, logs."""
