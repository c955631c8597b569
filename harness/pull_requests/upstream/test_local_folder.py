import pytest

from liquid_audio import LFM2AudioModel, LFM2AudioProcessor


@pytest.mark.parametrize("part", [LFM2AudioProcessor, LFM2AudioModel])
def test_a_folder_as_str_loads(checkpoint, part):
    part.from_pretrained(str(checkpoint), device="cpu")
