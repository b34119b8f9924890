"Encoders and heads."
from audiossl.models.transformer import *
from audiossl.models.clip import *
from audiossl.models.frame import *
from audiossl.models.heads import *
