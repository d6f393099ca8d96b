"""``mmjax sample``: any streams from any others, as files that people can play."""

import argparse
import contextlib
import dataclasses
import pathlib
import sys
from collections.abc import Iterator

from mmjax.cli import models
from mmjax.errors import UserError

EXAMPLE = (
    'mmjax sample --weights pretrained/bouncing_digits --given text="a seven bounces three times"'
    " --out samples"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags."""
    models.add_arguments(parser)
    add = parser.add_argument
    add("--given", action="append", default=[], metavar="STREAM=VALUE",
        help="a text, or the path of a film, sound or picture; may be repeated. image=x.png is the "
             "first frame of the film where the system has no stream called image")  # fmt: skip
    add("--want", default="", metavar="A,B", help="streams to generate (default: all the others)")
    add("--count", type=positive, default=1, metavar="N", help="how many (default 1)")
    add("--seed", type=int, default=0, metavar="S", help="of the noise (default 0)")
    add("--steps", type=positive, metavar="N", help="sampling steps (default: the config's)")
    add("--guidance", action="append", default=[], metavar="BRANCH=SCALE",
        help="scale of a guidance branch of the config; may be repeated")  # fmt: skip
    add("--out", required=True, metavar="D", help="folder; files of the same name are replaced")


def positive(text: str) -> int:
    """A whole number from 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text}")
    return value


def run(options: argparse.Namespace) -> None:
    """Samples and prints the paths of the files."""
    import jax
    import numpy as np

    from mmjax.cli.given import pairs, read_given, read_want
    from mmjax.evaluation.media import save_example
    from mmjax.rng import named
    from mmjax.training.sampling import Generator

    model = models.load(options)
    system = adjust(model.system, options.steps, pairs("--guidance", options.guidance))
    request = pairs("--given", options.given)
    fields, raw = read_given(system, request)
    want = read_want(system, options.want, [name for name in fields if name in request])
    generator = Generator(system)
    out = pathlib.Path(options.out)
    for start in range(0, options.count, system.evaluation.batch_size):
        size = min(system.evaluation.batch_size, options.count - start)
        given = {
            name: {key: np.repeat(value, size, axis=0) for key, value in parts.items()}
            for name, parts in fields.items()
        }
        key = named(jax.random.key(options.seed), "sample", start)
        with progress() as watch:
            made = generator(model.state, given, want, batch=size, key=key, watch=watch)
        for index in range(size):
            example = raw | {system.streams[n].field: values[index] for n, values in made.items()}
            facts = _facts(options, model, system, request, want, start + index)
            stem = f"{start + index:03d}"
            for path in save_example(out, stem, system.modalities, example, facts):
                print(path)


def adjust(system, steps: int | None, guidance: dict[str, str]):
    """The system with the sampler's steps and guidance scales replaced."""
    sampler = system.sampler
    if sampler is None:
        if steps is not None or guidance:
            raise UserError(f"--steps, --guidance: {system.name} has no sampler to set them on")
        return system
    if steps is not None:
        if not hasattr(sampler, "steps"):
            raise UserError(f"--steps: {type(sampler).__name__} has no steps to set")
        sampler = dataclasses.replace(sampler, steps=steps)
    branches = dict(getattr(sampler, "guidance", {}))
    for name, text in guidance.items():
        if name not in branches:
            known = ", ".join(branches) or "none"
            raise UserError(f"--guidance {name}: no such branch; this system has: {known}")
        try:
            branches[name] = dataclasses.replace(branches[name], scale=float(text))
        except ValueError as error:
            raise UserError(f"--guidance {name}={text}: expected a number") from error
    if guidance:
        sampler = dataclasses.replace(sampler, guidance=branches)
    return dataclasses.replace(system, sampler=sampler)


@contextlib.contextmanager
def progress() -> Iterator:
    """A bar over the sampling steps where a person watches; None, one compiled loop, elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    import tqdm

    with tqdm.tqdm(unit="step", leave=False, dynamic_ncols=True) as bar:

        def watch(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield watch


def _facts(options, model: models.Model, system, request, want, index: int) -> dict:
    """What a sample was made from."""
    from mmjax import __version__
    from mmjax import config as configs

    sampler = system.sampler
    if sampler is not None:
        sampler = {"kind": type(sampler).__name__, **dataclasses.asdict(sampler)}
    return {
        "system": system.name,
        "config": configs.digest(system.config),
        "source": str(model.source),
        "weights_sha256": model.digest,
        "step": int(model.state.step),
        "seed": options.seed,
        "index": index,
        "count": options.count,
        "prompt": request.get("text"),
        "given": request,
        "want": list(want),
        "sampler": sampler,
        "mmjax": __version__,
    }
