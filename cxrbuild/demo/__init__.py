"""The main job from fetch to a dataset, on four small sources that are made and served here."""

from cxrbuild.demo.run import run_demo

__all__ = ["run_demo"]
