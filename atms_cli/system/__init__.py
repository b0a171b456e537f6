"""The operating system: clock, ids, processes, file watching, signals."""
