"""The main job from fetch to a dataset, on four small sources that are made and served here."""

from cxrbuild.demo.run import DemoResult, run_demo

__all__ = ["DemoResult", "run_demo"]
