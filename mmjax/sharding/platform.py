"""Which kind of device a traced function is for."""

import jax


def platform() -> str:
    """``"cpu"``, ``"gpu"`` or ``"tpu"``: of the mesh in use, by default of this process.

    The two differ where a program is compiled for devices that are elsewhere.
    """
    device = getattr(jax.sharding.get_abstract_mesh(), "abstract_device", None)
    return jax.default_backend() if device is None else device.platform
