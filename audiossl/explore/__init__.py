"Windows onto sounds, views and masks, live in JupyterLab and alive in a page without a kernel."
from importlib import import_module

_names = {'SpectrogramExplorer': 'explore.spectrogram', 'plot_spectrogram': 'explore.spectrogram',
          'AugmentationLab': 'explore.augment', 'plot_trace': 'explore.augment',
          'MaskExplorer': 'explore.mask', 'plot_views': 'explore.mask',
          'TrainingMonitor': 'explore.training', 'plot_training': 'explore.training',
          'AttentionExplorer': 'explore.attention', 'plot_head': 'explore.attention',
          'EmbeddingMap': 'explore.embedding', 'plot_embedding': 'explore.embedding',
          'EventViewer': 'explore.events', 'plot_scores': 'explore.events',
          'DatasetBrowser': 'explore.dataset', 'plot_dataset': 'explore.dataset'}
__all__ = list(_names)

def __getattr__(name):
    if name not in _names: raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'audiossl.{_names[name]}'), name)

def __dir__(): return sorted(__all__)
