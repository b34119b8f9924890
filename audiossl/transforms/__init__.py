"From waveform to views: front end, crops, augmentations, masks."
from audiossl.transforms.logmel import *
from audiossl.transforms.crop import *
from audiossl.transforms.augment import *
from audiossl.transforms.mask import *
from audiossl.transforms.label_mix import *
from audiossl.transforms.views import *
from audiossl.transforms.frame_labels import *
