"""What the book's pages call. No torch.

page                 the parameters of a page; figures and photographs as HTML
figures              the study's figures; component_figures: those of the demonstrations
tables               claims and numbers as HTML tables
run_tables           what runs say; ledger_tables: all claims; net_tables: the networks
performance          the performance page; accelerator_tables: its part for accelerators
prose                numbers in prose, from demonstrations and nets; run_prose: from runs;
                     performance_prose: of its page
theme                colours and settings of all figures
chapters             pages through papermill
"""
