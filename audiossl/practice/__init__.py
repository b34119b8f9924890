"Exercises that check themselves, for each chapter."
from importlib import import_module

_pages = ('sound', 'data', 'models', 'training', 'scores')
_names = ('check', 'solution', 'list_exercises', 'get_exercise')
__all__ = list(_names)

def __getattr__(name):
    "The questions are loaded when the first of them is asked"
    if name not in _names: raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    for page in _pages: import_module(f'{__name__}.{page}')
    return getattr(import_module('audiossl.exercises'), name)

def __dir__(): return sorted(__all__)
