"""§3.2 python -m alexnet_repro.towers: two processes against one (two_towers.main)."""

from alexnet_repro.towers.two_towers import main

main()
