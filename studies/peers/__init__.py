"""Other implementations, where they are installed."""
