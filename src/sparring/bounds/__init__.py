"""Bounds that hold for every point of a ball: the net as a graph, intervals, CROWN and alpha-CROWN."""
