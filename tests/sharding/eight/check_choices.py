"""A codebook's rows are the same for both runs that are compared, and those that differ counted."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.quantisers.nearest import Nearest
from mmjax.codecs.vq import VQAutoencoder
from mmjax.objectives.base import Aux, Objective, Term
from tests.sharding.meshes import MESHES, ONE, apart, beyond, descending, run

CODES, SIZE = 8, 4


@dataclasses.dataclass(frozen=True)
class Rows(Objective):
    """The error of pictures from codes, and the quantiser's own losses."""

    def inputs(self, batch, key):
        return {"autoencoder": (self._values(batch),)}

    def prepare(self, ctx, batch, key):
        return {"values": self._values(batch)}

    def terms(self, ctx, batch, key, update):
        found = ctx.apply("autoencoder", batch["values"], method="encode")
        made = ctx.apply("autoencoder", found.values, method="decode")
        losses = {name: Term(values) for name, values in found.losses.items()}
        return {"image": Term(jnp.square(made - batch["values"])), **losses}, Aux()

    def _values(self, batch):
        return batch["image"].astype(jnp.float32) / 127.5 - 1.0


@functools.cache
def system():
    network = VQAutoencoder(
        Nearest(CODES, SIZE), SIZE, channels=1, widths=(8,), blocks=1, latents=SIZE, groups=4,
        attention=(), middle=False,
    )  # fmt: skip
    made = descending("image/kl_vae")
    return dataclasses.replace(made, objective=Rows(), networks={"autoencoder": network})


@functools.cache
def alone():
    return run(system(), ONE)


@pytest.mark.parametrize("mesh", MESHES)
def test_a_mesh_trains_a_codebook_as_one_device_does(mesh):
    given = alone().choices.again()
    figures = apart(run(system(), MESHES[mesh], given=given), alone())
    print(f"{mesh}: {given.share:.2%} of the choices differ")
    assert not beyond(figures) and given.share < 0.01, figures


def test_choices_that_are_given_are_taken():
    """One row for all vectors: the mesh's own are others, and so is what it learns."""
    given = alone().choices.again()
    given.replace(np.zeros_like)
    figures = apart(run(system(), MESHES["data"], given=given), alone())
    assert given.share > 0.2 and beyond(figures)
