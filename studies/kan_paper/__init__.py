"""Studies of the KAN paper: functions, scaling, noise, knots, localisation."""
