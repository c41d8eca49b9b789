"""§3.2 One net in two columns, on two devices or as two processes.

one_column   the half of a net that one device holds
two_towers   TwoTowers on two devices; one process and two, side by side
processes    the link between two processes, and their training
"""

from alexnet_repro.towers.two_towers import TwoTowers, run_two_processes

__all__ = ["TwoTowers", "run_two_processes"]
