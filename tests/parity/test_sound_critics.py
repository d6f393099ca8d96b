"""The critics of sound against the same networks on PyTorch's own convolutions and transform."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.models.sound_critics import Critics, MultiPeriod, MultiScale, MultiSpectrogram
from tests.parity.sound import noise

pytestmark = pytest.mark.parity

SOUND = noise(2, 301, 2)
PERIODS = MultiPeriod(periods=(2, 3), widths=(4, 3, 5), slope=0.2)
SCALES = MultiScale(2, layers=((4, 5, 1, 1), (8, 7, 3, 2)), slope=0.2)
SPECTRA = MultiSpectrogram(
    windows=(32,), width=3, slope=0.1, dilations=(1, 2), edges=(0.0, 0.3, 1.0), even=False
)


def drawn(module):
    """Parameters, none of which is constant, nor any scale the length of its direction."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), SOUND)["params"]
    draw = np.random.default_rng(0).normal
    return {
        path: jnp.asarray(
            draw(1, 0.2, x.shape) if path.endswith("scale") else draw(0, 0.4, x.shape)
        )
        for path, x in tree.flatten(shapes).items()
    }


def kernel(params, name):
    direction = params[f"{name}/direction"]
    norm = np.sqrt((direction**2).sum(tuple(range(direction.ndim - 1))))
    return direction * params[f"{name}/scale"].reshape(-1) / norm, params[f"{name}/bias"]


def judged(module, params):
    return jax.jit(module.apply)({"params": tree.unflatten(params)}, SOUND)


@pytest.fixture
def convolve(torch):
    def convolve(x, weights, **options):
        """Channels first; the kernel's axes are here height, width, in, out."""
        weight, bias = (torch.tensor(np.asarray(part), dtype=torch.float32) for part in weights)
        weight = weight.movedim((2, 3), (1, 0))
        return torch.nn.functional.conv2d(x, weight, bias, **options)

    return convolve


def test_periods(torch, convolve, assert_near):
    params = drawn(PERIODS)
    verdicts = judged(PERIODS, params)
    for period, verdict in zip(PERIODS.periods, verdicts, strict=True):
        x = torch.tensor(np.asarray(SOUND)).movedim(-1, 1)
        x = torch.nn.functional.pad(x, (0, -x.shape[-1] % period), "reflect")
        x = x.reshape(2, 2, -1, period)
        for index, name in enumerate(("conv_0", "conv_1", "conv_2", "logit")):
            weight, bias = kernel(params, f"period_{period}_{name}")
            taps, stride = weight.shape[0], 3 if index < 2 else 1
            x = convolve(x, (weight[:, None], bias), stride=(stride, 1), padding=(taps // 2, 0))
            x = x if name == "logit" else torch.nn.functional.leaky_relu(x, 0.2)
            assert_near(verdict[index].swapaxes(1, 2), x.movedim(1, -1).numpy())


def test_scales(torch, assert_near):
    params = drawn(SCALES)
    x = torch.tensor(np.asarray(SOUND)).mT
    for scale, verdict in enumerate(judged(SCALES, params)):
        if scale:
            x = torch.nn.functional.avg_pool1d(x, 4, 2, padding=2)
        y = x
        for index, name in enumerate(("conv_0", "conv_1", "logit")):
            weight, bias = (
                torch.tensor(np.asarray(part)) for part in kernel(params, f"scale_{scale}_{name}")
            )
            stride, groups = ((1, 1), (3, 2), (1, 1))[index]
            padding = weight.shape[0] // 2
            y = torch.nn.functional.conv1d(
                y, weight.permute(2, 1, 0), bias, stride, padding, 1, groups
            )
            y = y if name == "logit" else torch.nn.functional.leaky_relu(y, 0.2)
            assert_near(verdict[index], y.mT.numpy())


def test_spectrograms(torch, convolve, assert_near):
    params = drawn(SPECTRA)
    verdicts = judged(SPECTRA, params)
    for window, verdict in zip(SPECTRA.windows, verdicts, strict=True):
        margin, hop = 3 * window // 8, window // 4
        x = torch.tensor(np.asarray(SOUND)).movedim(-1, 1)
        x = torch.nn.functional.pad(x, (margin, margin), "reflect")
        x = torch.stft(
            x.reshape(4, -1), window, hop, window=torch.hann_window(window), center=False,
            normalized=False, return_complex=True,
        )  # fmt: skip
        x = torch.view_as_real(x).reshape(2, 2, *x.shape[1:], 2)  # B, C, F, T, parts
        x = x.movedim((4, 1, 3, 2), (1, 2, 3, 4)).reshape(2, 4, x.shape[3], x.shape[2])
        cut, ends, found = int(0.3 * x.shape[-1]), [], iter(verdict)
        for band, part in enumerate((x[..., :cut], x[..., cut:])):
            settings = ((1, 1, (3, 9)), (2, 1, (3, 9)), (2, 2, (3, 9)), (1, 1, (3, 3)))
            for index, (stride, dilation, taps) in enumerate(settings):
                part = convolve(
                    part, kernel(params, f"window_{window}_band_{band}_conv_{index}"),
                    stride=(1, stride), dilation=(dilation, 1),
                    padding=(dilation * (taps[0] // 2), taps[1] // 2),
                )  # fmt: skip
                part = torch.nn.functional.leaky_relu(part, 0.1)
                assert_near(next(found), part.movedim(1, -1).numpy())
            ends.append(part)
        logits = convolve(
            torch.cat(ends, -1), kernel(params, f"window_{window}_logit"), padding=(1, 1)
        )
        assert_near(next(found), logits.movedim(1, -1).numpy())


@pytest.mark.parametrize(
    ("module", "count"),
    [(MultiPeriod(), 41_105_770), (MultiScale(), 29_622_918), (MultiSpectrogram(), 472_490)],
)
def test_published_size(module, count):
    sound = jax.ShapeDtypeStruct((1, 24_000, 1), jnp.float32)
    assert tree.count(jax.eval_shape(module.init, jax.random.key(0), sound)) == count


def test_several_hear_a_levelled_sound():
    module = Critics({"b": MultiPeriod((2,), (3,)), "a": MultiPeriod((3,), (3,))}, levelled=True)
    params = {"params": tree.unflatten(drawn(module))}
    apply = jax.jit(module.apply)
    found, again = apply(params, SOUND), apply(params, 0.3 * SOUND + 0.2)
    assert [verdict[0].shape[1] for verdict in found] == [3, 2]  # by name
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    plain = module.clone(levelled=False).apply(params, SOUND)
    assert np.abs(plain[0][-1] - found[0][-1]).max() > 1e-3


def test_nothing_is_gained_by_a_louder_sound_or_another_mean():
    module = Critics({"a": MultiPeriod((3,), (3,))}, levelled=True)
    params, sound = {"params": tree.unflatten(drawn(module))}, noise(8, 8320, 2)  # as audio/dac's
    slope = jax.jit(jax.grad(lambda x: jnp.mean(module.apply(params, x)[0][-1] ** 2)))(sound)
    spread = np.linalg.norm(slope) * np.linalg.norm(sound)
    assert spread > 0
    np.testing.assert_allclose(np.sum(slope * sound, axis=1) / spread, 0, atol=1e-6)
    np.testing.assert_allclose(np.mean(slope, axis=1) / np.linalg.norm(slope), 0, atol=1e-6)


def test_even_spectra_have_the_power_of_the_sound():
    module = MultiSpectrogram((64,), 2, ())
    params = {"params": tree.unflatten(drawn(module))}
    plain = module.clone(even=False).apply(params, SOUND / np.sqrt(64 * 3 / 8))
    np.testing.assert_allclose(module.apply(params, SOUND)[0][-1], plain[0][-1], atol=1e-4)
