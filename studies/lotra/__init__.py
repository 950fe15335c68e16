"""What LoTRA and slim layers do on small problems.

The rate of a method is chosen by its loss at validation samples, or by its training loss where there are none, never by
its test error; every method has the same number of tries. The problems are ours: those of arXiv 2502.06153 were not
available to us, so nothing here reproduces its tables.
"""
