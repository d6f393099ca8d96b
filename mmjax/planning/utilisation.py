"""Model FLOPs utilisation: how short a step could be if its devices did its products alone."""

import jax

from mmjax.planning import abstract, flops
from mmjax.planning.chips import CHIPS
from mmjax.sharding.multihost import say_once
from mmjax.training.system import System

# Dense bf16 operations a second of a JAX device, by JAX's name of its kind. GPUs: NVIDIA's data
# sheets of the SXM boards, without sparsity.
PEAKS = {
    "TPU v5e": CHIPS["v5e"].peak,
    "TPU v5 lite": CHIPS["v5e"].peak,
    "TPU v5": CHIPS["v5p"].peak,
    "TPU v5p": CHIPS["v5p"].peak,
    "TPU v6e": CHIPS["v6e"].peak,
    "TPU v6 lite": CHIPS["v6e"].peak,
    "TPU7x": CHIPS["tpu7x"].peak,
    "NVIDIA A100-SXM4-40GB": 312e12,
    "NVIDIA A100-SXM4-80GB": 312e12,
    "NVIDIA H100 80GB HBM3": 989e12,
    "NVIDIA H200": 989e12,
}


def shortest_step(system: System) -> float | None:
    """Seconds that a step's products take at the peak of the devices here; over those of a real one
    it is the model FLOPs utilisation (Chowdhery et al. 2204.02311, appendix B).

    Counted are matrix products and convolutions of forward and backward pass, a multiplication and
    an addition as two, and nothing that is computed again. None where a device's peak is not known,
    or, with a warning, where a kernel's operations are not.
    """
    peak = PEAKS.get(jax.devices()[0].device_kind)
    if peak is None:
        return None
    model = abstract.model_step(system)
    try:
        products = flops.count(model.function, *model.arguments)
    except ValueError as error:  # no reason not to train
        say_once(f"warning: no model FLOPs utilisation: {error}")
        return None
    return products / (peak * jax.device_count())
