"Every dataset behind one registry."
from audiossl.datasets.samplers import *
from audiossl.datasets.registry import *
from audiossl.datasets.store import *
from audiossl.datasets.minisounds import *
from audiossl.datasets.clips import *
from audiossl.datasets.tags import *
from audiossl.datasets.events import *
from audiossl.datasets.synth import *
from audiossl.datasets.soundscapes import *
from audiossl.datasets.batches import *
from audiossl.datasets.catalogue import *
from audiossl.datasets.prepare import *
from audiossl.datasets.tarshards import *
from audiossl.datasets.oldlmdb import *
