"""Stages that change a model's input, one file an idea. Importing this registers them for `defend(model, "name")`."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__, __name__ + "."):
    importlib.import_module(_module.name)
