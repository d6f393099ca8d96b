"""Each toy is one file of at most forty lines, and the training code knows none of them."""

import pathlib

TOYS = sorted((pathlib.Path(__file__).parent / "toys").glob("*.py"))


def test_there_are_eight_and_they_are_short():
    assert len(TOYS) == 8
    lengths = {toy.stem: len(toy.read_text(encoding="utf-8").splitlines()) for toy in TOYS}
    assert {name: length for name, length in lengths.items() if length > 40} == {}


def test_each_has_its_test():
    tests = {path.stem for path in pathlib.Path(__file__).parent.glob("test_*.py")}
    assert {f"test_{toy.stem}" for toy in TOYS} <= tests
