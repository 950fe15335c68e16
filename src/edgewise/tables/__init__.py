"""Tables: columns to numbers, estimators in the manner of scikit-learn, and the main job of the command line."""
