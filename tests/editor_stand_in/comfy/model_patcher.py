class ModelPatcher:
    GIVEN_BACK = 2**30  # bytes that other models would give back

    def __init__(self, model, load_device, offload_device):
        self.model, self.load_device, self.offload_device = model, load_device, offload_device

    def get_free_memory(self, device):
        from .model_management import get_free_memory

        return get_free_memory(device) + self.GIVEN_BACK
