"""Packages and extras of mmjax. The base install needs neither torch nor TensorFlow."""

from setuptools import find_packages, setup

BASE = [
    "jax>=0.7.2",
    "flax>=0.11.2",
    "optax>=0.2.8",  # contrib.muon with dimension numbers for stacked kernels
    "orbax-checkpoint>=0.11",
    "grain>=0.2.16",
    "array-record>=0.8.1; platform_system != 'Windows'",
    "tensorflow-datasets>=4.9.9",
    "importlib-resources",  # tensorflow-datasets needs it and does not declare it
    "ml_collections>=1.1",
    "clu>=0.0.12",
    "numpy>=1.26",
    "scipy>=1.11",
    "scikit-learn>=1.4",  # the handwritten digits and the classifier that judges them
    "jaxtyping>=0.2.36",  # array annotations
    "beartype>=0.19",  # checks a config's values against the fields' annotations
    "absl-py",  # Grain's worker processes want its flags parsed
    "av>=14",  # video with sound in and out; its wheel carries FFmpeg
    "soundfile>=0.12",  # WAV and FLAC
    "pyloudnorm>=0.2",  # loudness of sounds as ITU-R BS.1770 has it
    "pillow>=10",
    "pyyaml>=6",  # manifests of launch/gke
    "safetensors>=0.4",  # weights without pickle
    "tensorboardX>=2.6",  # TensorBoard files without TensorFlow
    "tqdm>=4.66",  # progress bars
]

# One torch: the version that the parity figures were made with.
PARITY = [
    "torch==2.13.0",
    "diffusers>=0.42.1",
    "transformers>=5.23",
    "vector-quantize-pytorch>=1.32",
]
PLAN = ["jax[tpu]"]  # libtpu's compiler (0.7 GB); no TPU is asked for
TEXT = [  # read the tokenisers of public models; wheels of some MB, without torch
    "sentencepiece>=0.2",
    "tokenizers>=0.21",
]
TEST = [
    *PLAN,
    *TEXT,
    "pytest>=8",
    "pytest-timeout",  # a hang fails by name
    "pytest-xdist>=3.6",  # a process for each of two cores: compiling uses one
    "ruff>=0.8",
    "websocket-client>=1.8",  # drives headless Chromium over its DevTools protocol
    "nbclient>=0.10",
    "ipykernel>=6.29",
    "jupytext>=1.16",
    "matplotlib>=3.8",
    "kubernetes-validate>=1.30",  # the schema of Kubernetes' own objects
]

setup(
    name="mmjax",
    version="0.1.0",
    description="Multimodal generative models in JAX and Flax: train, sample, evaluate, compare",
    long_description=open("README.md", encoding="utf-8").read(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["mmjax", "mmjax.*"]),
    install_requires=BASE,
    extras_require={
        "cuda": ["jax[cuda12]"],
        "tpu": ["jax[tpu]"],
        "plan": PLAN,
        "text": TEXT,
        "tf": ["tensorflow-cpu>=2.18"],  # TFDS features and readers that need it
        "parity": PARITY,
        "test": TEST,
        "colab": ["matplotlib>=3.8", "ipywidgets"],
    },
    entry_points={"console_scripts": ["mmjax=mmjax.cli.main:main"]},
)
