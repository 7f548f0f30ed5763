"""An object that bounces off walls at random angles."""
