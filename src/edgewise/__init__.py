"""Kolmogorov-Arnold networks."""
