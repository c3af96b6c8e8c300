"""Composes components into a run: plan, stages in worker processes, the run directory."""
