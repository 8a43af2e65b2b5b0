"""Modules that are imported when something in them is asked for, so that tests of what is not installed can be collected."""

import importlib


class Late:
    def __init__(self, name):
        self._name = name

    def __getattr__(self, name):
        if name.startswith("__"):  # pytest asks all that it meets whether it is a fixture
            raise AttributeError(name)
        return getattr(importlib.import_module(self._name), name)
