"""Layers of applications, built on `KANLinear`: convolutions, transformer blocks, recurrent cells."""
