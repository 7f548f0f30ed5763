"""Ground floor: layers that know no model."""
