"""Penalty methods: distance plus c times what is missing to fool (C&W, EAD, L-BFGS, OptMargin)."""
