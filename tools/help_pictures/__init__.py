"""Renders what help pages and templates show: real output of svd-nano, made again whenever the model changes."""
