"""The suite's cases leave out none of their kind."""

import soundfile

from harness.suite.speech import clips
from tests.test_callers import MONO_ONLY, SUBTYPES

NOT_WRITTEN = {"MPEG_LAYER_III"}


def test_the_clips_come_in_the_rates_and_channels_that_users_hold():
    assert {clip.channels for clip in clips()} == {1, 2}
    assert {clip.sampling_rate for clip in clips()} == {8_000, 16_000, 22_050, 24_000, 44_100, 48_000}


def test_every_subtype_that_soundfile_writes_is_read_by_a_caller():
    read = {container: {*subtypes} for container, subtypes in SUBTYPES.items()}
    read["WAV"] |= {*MONO_ONLY, *NOT_WRITTEN}
    assert {container: {*soundfile.available_subtypes(container)} for container in SUBTYPES} == read
