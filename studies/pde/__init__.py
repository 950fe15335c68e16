"""Studies of differential equations."""
