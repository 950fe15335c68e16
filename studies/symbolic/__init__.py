"""Studies of symbolic regression."""
