"""Stacks of identical blocks: the only user of ``nn.scan`` and ``nn.remat``."""

from collections.abc import Callable

import flax.linen as nn
import jax

from mmjax.sharding.platform import platform
from mmjax.typing import Tree

REMAT = {
    "none": None,
    "full": jax.checkpoint_policies.nothing_saveable,
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "offload": jax.checkpoint_policies.offload_dot_with_no_batch_dims("device", "pinned_host"),
}


class Stack(nn.Module):
    """``depth`` blocks in a row; every parameter has a leading layer axis, however it is run.

    Attributes:
      block: makes one block, called as ``block(carry, *shared) -> carry``.
      depth: number of blocks.
      unroll: blocks per iteration of the loop; 0 means all on a CPU, where loops are slow, and 1
        on accelerators, where they compile fast.
      remat: what the backward pass keeps of each block: ``"none"`` keeps everything, ``"dots"`` the
        products with parameters, ``"offload"`` moves these to the host's memory and back,
        ``"full"`` recomputes everything.

    Each block's output can be read as the collection ``hidden`` (``mutable=["hidden"]``).
    """

    block: Callable[..., nn.Module]
    depth: int
    unroll: int = 0
    remat: str = "none"

    @nn.compact
    def __call__(self, carry: Tree, *shared: Tree, block_inputs: Tree | None = None) -> Tree:
        """Runs ``carry`` through the blocks; ``shared`` goes to every one.

        ``block_inputs``, like ``carry`` with a leading layer axis, is added to the blocks' outputs.
        """
        if self.remat not in REMAT:
            raise ValueError(f"remat {self.remat!r} is none of {sorted(REMAT)}")
        unroll = self.unroll or (self.depth if platform() == "cpu" else 1)

        def layer(block: nn.Module, carry: Tree, extra: Tree | None, *shared: Tree):
            carry = block(carry, *shared)
            if extra is not None:
                carry = jax.tree.map(lambda x, y: x + y, carry, extra)
            block.sow("hidden", "output", carry, reduce_fn=_last, init_fn=_nothing)
            return carry, None

        if self.remat != "none":
            # a loop's body cannot be merged with its recomputation, an unrolled one can
            keep_apart = unroll > 1
            layer = nn.remat(layer, policy=REMAT[self.remat], prevent_cse=keep_apart)
        scan = nn.scan(
            layer,
            variable_axes={"params": 0, "cache": 0, "hidden": 0, "losses": 0},
            split_rngs={"params": True, "dropout": True},
            in_axes=(0, *(nn.broadcast for _ in shared)),
            length=self.depth,
            unroll=min(unroll, self.depth),
        )
        block = self.block()
        nn.share_scope(self, block)  # parameters lie under the stack's own name
        carry, _ = scan(block, carry, block_inputs, *shared)
        return carry


def _last(_: Tree, new: Tree) -> Tree:
    return new


def _nothing() -> None:
    return None
