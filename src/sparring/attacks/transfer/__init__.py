"""Attacks that are made on other nets: what gradients of surrogates find, shown to a model that tells its class."""
