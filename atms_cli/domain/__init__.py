"""Values and decisions: pure functions, no input or output, no clock, no ids."""
