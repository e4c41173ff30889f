import torch

CPU = torch.device("cpu")
asked = []  # (class of the model, bytes of work, whether it must be loaded whole), call by call


class InterruptProcessingException(Exception): ...


def get_torch_device():
    return CPU


def unet_offload_device():
    return CPU


def intermediate_device():
    return CPU


def is_device_cpu(device):
    return device.type == "cpu"


def get_total_memory(device):
    return 24 * 2**30


def extra_reserved_memory():
    return 2**28


def get_free_memory(device):
    return 20 * 2**30


def unet_dtype(device, parameters, supported_dtypes):
    return torch.float32


def load_models_gpu(models, memory_required=0, force_full_load=False):
    for patcher in models:
        asked.append((type(patcher.model).__name__, memory_required, force_full_load))
        patcher.model.to(patcher.load_device)


def unload_all_models(): ...


def throw_exception_if_processing_interrupted(): ...
