"""Second-order training: losses with their Gauss-Newton curvature, Jacobians, Levenberg-Marquardt."""

from edgewise.optim.losses import Loss as Loss, get_loss as get_loss

__all__ = ["Loss", "get_loss"]
