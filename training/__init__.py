"""How the offline model was made; nothing here is needed to use it."""
