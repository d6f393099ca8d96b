"""``mmjax report``: a run on one page, to open in a browser or pass on."""

import argparse

EXAMPLE = "mmjax report --workdir runs/quickstart"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags."""
    parser.add_argument("--workdir", required=True, metavar="W", help="folder of the run")
    parser.add_argument("--out", metavar="FILE", help="default: report.html in the run's folder")


def run(options: argparse.Namespace) -> None:
    """Writes the page and prints its path."""
    from mmjax.evaluation.report import render
    from mmjax.files import write_text
    from mmjax.training.reporting import page
    from mmjax.training.workdir import Workdir

    workdir = Workdir(options.workdir)
    out = options.out or str(workdir.path / "report.html")
    write_text(out, render(page(workdir)))
    print(out)
