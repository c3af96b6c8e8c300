"""The command line: one Typer app, one file per command group, one error boundary, one ``Out``."""
