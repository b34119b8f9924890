"""Audio self-supervised learning, from the waveform to the embedding: the ATST family, taught notebook by notebook."""
__version__ = "0.0.1"

from importlib import import_module

_names = {'load_audio': 'audio', 'save_audio': 'audio', 'list_models': 'checkpoint', 'create_model': 'checkpoint',
          'load_model': 'checkpoint', 'from_pretrained': 'checkpoint', 'save_pretrained': 'checkpoint', 'convert': 'checkpoint',
          'embed_clips': 'methods.atstframe.embedding', 'embed_files': 'methods.atstframe.embedding', 'save_embeddings': 'methods.atstframe.embedding',
          'list_all_datasets': 'datasets.registry', 'get_dataset': 'datasets.registry'}
__all__ = ['__version__', *_names]

def __getattr__(name):
    "Names are looked up when first used, so that importing the package loads nothing heavy"
    if name not in _names: raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_names[name]}'), name)

def __dir__(): return sorted(__all__)
