"""Imports of large libraries without the packages that they load for what the workflow never calls; these can be imported afterwards."""

import sys
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType


@contextmanager
def hidden(packages):
    """Have packages look as if they were not installed, but for those that are imported already: for a library that asks."""
    names = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(names))
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


@contextmanager
def replaced(packages):
    """Have packages look as if they held every name, but for those that are imported already: for a library that takes them for granted.

    What the library imported from them does nothing, then and later.
    """
    finder = _Finder(name for name in packages if name not in sys.modules)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if type(module) is _Nothing]:
            del sys.modules[name]


class _Nothing(ModuleType):
    """A package in which every name is a module of this kind."""

    __path__ = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing(f"{self.__name__}.{name}")


class _Finder:
    """What Python asks where a module is: here, and empty, if it belongs to one of the packages."""

    def __init__(self, packages):
        self.packages = frozenset(packages)

    def find_spec(self, name, path=None, target=None):
        """Return the specification of a module of the packages; None leaves it to others."""
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] in self.packages else None

    def create_module(self, spec):
        """Make the module."""
        return _Nothing(spec.name)

    def exec_module(self, module):
        """Leave the module empty."""
