"""Whole networks for common tasks, one readable file each."""
