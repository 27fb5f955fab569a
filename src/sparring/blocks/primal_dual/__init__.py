"""Primal-dual search: one player moves the point, the other sets the weight of its size (PDGD, PDPGD)."""
