import copy
import pickle

import pytest
import torch

RATE = 16_000
WAVE, LENGTH = torch.linspace(0, 800, RATE).sin()[None], torch.tensor([RATE])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))], ids=["deepcopy", "pickle"])
def test_a_copy_computes_by_itself(processor, copied):
    (expected, _), other = processor.audio(WAVE, LENGTH), copied(processor.audio)
    processor.audio.featurizer.fb.zero_()
    assert other(WAVE, LENGTH)[0].equal(expected)
