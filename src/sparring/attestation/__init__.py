"""Evidence bundles: a finished audit, its files, its environment and one signature over all of them."""
