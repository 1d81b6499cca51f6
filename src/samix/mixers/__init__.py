"""The pre-trained Mixers that come with the package: one folder each, data without code.

Made by ``benchmarks/train_builtin_mixers.py``.
"""
