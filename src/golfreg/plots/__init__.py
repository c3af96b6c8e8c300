"""Drawings for pages, reports and files. matplotlib is imported when the first one is drawn."""
