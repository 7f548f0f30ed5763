"""An object that moves according to actions."""
