"""Stages that change a model's input, one file an idea. Their names are for `defend(model, "name")`."""
