"""§3.2 One net in two columns, on two devices or as two processes.

one_column   the half of a net that one device holds
two_towers   TwoTowers on two devices; one process and two, side by side
link         what goes from one process to the other, counted
processes    a column's training in each of two processes
"""

from alexnet_repro.towers.two_towers import TwoTowers, run_two_processes

__all__ = ["TwoTowers", "run_two_processes"]
