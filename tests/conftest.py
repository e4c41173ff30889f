"""One thread a process: the test models are so small that threads spend their time waiting for each other.

In the processes that tests start, waiting threads sleep: the suite has to pass beside others.
"""

from svd_nodes.headless.threads import settle

settle()

import kernel_device  # noqa: E402, F401  (before anything else imports triton)
import torch  # noqa: E402

torch.set_num_threads(1)
