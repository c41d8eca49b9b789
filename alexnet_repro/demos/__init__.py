"""Each component at work: functions without arguments that return a table, and their records.

components    the demonstrations by name, their records, the bridge to the pages (no torch)
of_layers     §3.1 to §3.4, §4.2
of_training   §4.1, §5, §6
of_exchange   weights, ONNX, two processes
"""
