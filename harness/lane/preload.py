"""What the process that is forked imports, once: what the suite and the package import. The package differs from run to run.

Forked processes share this memory until they write to it. The garbage collector would write to all of it, so these objects are
frozen.
"""

import gc
from importlib import import_module

from harness.lane.run import PLUGINS

LIBRARIES: tuple[str, ...] = ("torch", "torchaudio", "transformers.models.lfm2.modeling_lfm2", "einops", "librosa.filters")
LIBRARIES += ("scipy.io.wavfile", "sentencepiece", "soundfile", "hypothesis.strategies", *PLUGINS)

for library in LIBRARIES:
    import_module(library)
gc.collect()
gc.freeze()
