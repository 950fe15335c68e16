"""What other runtimes compute from exported models."""
