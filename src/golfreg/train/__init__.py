"""The training stage and the calibration stage."""
