"""Classifiers that are used, not looked into: a Python function, a web service, a file for another runtime.

Each becomes a `Model` with access "score" or "decision". What they answer is read in one place, `answers.py`.
"""
