"""The delay pattern (Copet et al. 2306.05284, figure 1) as a codec's layout of K codebooks."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from mmjax.objectives.joint import Joint


@dataclasses.dataclass(frozen=True)
class Delay:
    """[B, T, K] codes as [B, T + K - 1, K]: codebook k comes k indices late, ``empty`` around."""

    steps: int
    codebooks: int
    empty: int
    host = False

    def encode(self, codes):
        source = np.arange(self.steps + self.codebooks - 1)[:, None] - np.arange(self.codebooks)
        late = codes[:, np.clip(source, 0, self.steps - 1), np.arange(self.codebooks)]
        return jnp.where((source >= 0) & (source < self.steps), late, self.empty)

    def decode(self, latents):
        return jnp.stack([latents[:, k : k + self.steps, k] for k in range(self.codebooks)], -1)


class Delayed(Joint):
    """Empty slots are not predicted in training, and held when sampling."""

    def prepare(self, ctx, batch, key):
        stream, codec = self.streams["codes"].encode(batch), self.streams["codes"].codec
        return {"streams": {"codes": stream.replace(mask=stream.values != codec.empty)}}

    def begin(self, request, key):
        codec, stream = self.streams["codes"].codec, super().begin(request, key)["codes"]
        layout = codec.encode(jnp.zeros((request.batch, codec.steps, codec.codebooks), jnp.int32))
        time = jnp.where(layout == codec.empty, 0.0, 1.0)
        return {"codes": stream.replace(values=layout, time=time)}
