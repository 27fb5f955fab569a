"""All attacks, one file an algorithm, in folders named by what the attacker sees. Importing this registers them."""

import importlib
import pkgutil

from sparring._callable import callable_module
from sparring.attack import attacks

for _module in pkgutil.walk_packages(__path__, __name__ + "."):
    importlib.import_module(_module.name)

callable_module(__name__, attacks)
