from liquid_audio.trainer import Trainer


def test_training_asks_for_no_pinned_memory(checkpoint, monkeypatch):
    monkeypatch.setenv("ACCELERATE_TORCH_DEVICE", "cpu")
    trainer = Trainer(checkpoint, train_data=[0], val_data=[0])
    assert [loader.base_dataloader.pin_memory for loader in (trainer.train_loader, trainer.val_loader)] == [False, False]
