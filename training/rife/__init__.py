"""How the offline interpolation network is trained and measured."""
