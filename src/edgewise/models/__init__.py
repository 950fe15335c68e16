"""Contains complete networks for common tasks, one readable file each."""
