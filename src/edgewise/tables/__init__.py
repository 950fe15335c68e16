"""Tables: encoding of columns, scikit-learn estimators, and the jobs of the command line."""
