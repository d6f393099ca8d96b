"""The distance of a config's first gradients on a mesh from those on one device, in float64.

    python -m tests.sharding.double MESH CONFIG [FIELDS]

``FIELDS`` of its one network are replaced, as JSON. Prints the distance. In this process all that
asks for float32 gets float64: networks, batches, losses and the optimiser.
"""

import os

os.environ["JAX_ENABLE_X64"] = "true"

import jax.numpy as jnp

jnp.float32 = jnp.float64  # before Flax takes it for the default of its parameters

import json  # noqa: E402
import sys  # noqa: E402

from tests.sharding.meshes import MESHES, apart, descending, on_one_device, run  # noqa: E402


def main(mesh: str, name: str, fields: str = "{}") -> None:
    """Prints the distance of the largest parameter's gradient."""
    changes = json.loads(fields)
    changes = {k: tuple(v) if isinstance(v, list) else v for k, v in changes.items()}
    expected = on_one_device(name, steps=1, **changes)
    given = expected.choices.again()
    found = run(descending(name, **changes), MESHES[mesh], given=given, steps=1)
    kinds = {str(gradient.dtype) for gradient in found.gradients.values()}
    if kinds != {"float64"}:
        raise SystemExit(f"{name}: gradients are {', '.join(sorted(kinds))}, not float64")
    print(apart(found, expected)["gradients"])


if __name__ == "__main__":
    main(*sys.argv[1:])
