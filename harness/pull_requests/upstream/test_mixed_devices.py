from liquid_audio import ChatState


def test_additions_stay_on_the_chat_device(processor):
    chat = ChatState(processor)
    processor.to("meta")
    chat.add_text("hello")
    assert {tensor.device.type for tensor in chat.values()} == {"cpu"}


class Elsewhere:
    """A tensor that can be used only after it has moved"""

    def __init__(self, tensor):
        self.to = tensor.to


def test_the_model_takes_inputs_from_any_device(model, processor):
    inputs = {name: Elsewhere(tensor) for name, tensor in ChatState(processor).items()}
    assert next(model.generate_sequential(**inputs)).device.type == "cpu"
