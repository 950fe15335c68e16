"""Copies of models in plain operations that every runtime has: no searches, no scatter, no custom kernels."""

from edgewise.exporting.lowering.lower import lowered as lowered

__all__ = ["lowered"]
