"""Stages that replace an image by one that a model of images finds likely. Importing this registers them."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__, __name__ + "."):
    importlib.import_module(_module.name)
