"""What is wrong with a problem as it was given."""


class ProblemError(ValueError):
    """A problem, a problem file or a setting of the solver that cannot be used; the message says what to change."""
