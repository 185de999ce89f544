"""How the offline models were made; nothing here is needed to use them."""
