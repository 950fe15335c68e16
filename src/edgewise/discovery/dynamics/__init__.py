"""Laws of trajectories: flows and maps, fitted to the trajectories themselves and verified on held-out ones."""

from edgewise.discovery.dynamics.discover_dynamics import discover_dynamics as discover_dynamics
from edgewise.discovery.dynamics.dynamics_value import Dynamics as Dynamics, SystemLaw as SystemLaw
from edgewise.discovery.dynamics.verification import Verification as Verification

__all__ = ["Dynamics", "SystemLaw", "Verification", "discover_dynamics"]
