"""The exam for attacks, for this package's own tests and for yours.

>>> import sparring as sp
>>> from sparring.testing import check_attack
>>> check_attack(sp.FGSM(), norms=["L2"], checks=["known-optimum", "counts"])
"""

from sparring.testing.case import CHECKS, Check, Examinee
from sparring.testing.exam import check_attack, sit
from sparring.testing.norms import check_norm

__all__ = ["CHECKS", "Check", "Examinee", "check_attack", "check_norm", "sit"]
