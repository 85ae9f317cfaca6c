"""Run the main job on four small synthetic sources, from fetch to dataset."""

from cxrbuild.demo.run import DemoResult, run_demo

__all__ = ["DemoResult", "run_demo"]
