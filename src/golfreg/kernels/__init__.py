"""Kernels: building a model with them, choosing among them, and comparing them with their reference."""
