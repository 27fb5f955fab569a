"""Parts that attacks are made of."""
