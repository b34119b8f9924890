"Every dataset behind one registry."
from audiossl.datasets.registry import *
from audiossl.datasets.minisounds import *
