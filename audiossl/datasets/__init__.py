"Every dataset behind one registry."
from audiossl.datasets.registry import *
from audiossl.datasets.batches import *
from audiossl.datasets.minisounds import *
