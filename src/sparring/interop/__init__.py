"""Models, data and attacks in the shape of other ecosystems."""
