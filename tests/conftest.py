"""One thread a process: the test models are so small that threads spend their time waiting for each other."""

import kernel_device  # noqa: F401  (before anything else imports triton)
import torch

torch.set_num_threads(1)
