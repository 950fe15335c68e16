"""Laws of fields on grids: partial differential equations from measured u(x, t)."""

from edgewise.discovery.fields.discover_field import discover_field as discover_field
from edgewise.discovery.fields.field_law import FieldLaw as FieldLaw, LawTerm as LawTerm

__all__ = ["FieldLaw", "LawTerm", "discover_field"]
