"Lightning data modules."
from importlib import import_module

_names = dict.fromkeys(('PretrainDataModule', 'DownstreamDataModule', 'DownStreamDataModule', 'FrameDataModule', 'InMemoryDataModule'), 'lightning.datamodules')
__all__ = list(_names)

def __getattr__(name):
    if name not in _names: raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'audiossl.{_names[name]}'), name)

def __dir__(): return sorted(__all__)
