"""Studies of papers and applications, and their speed; not part of the wheel. `python -m studies NAME [options]`."""
