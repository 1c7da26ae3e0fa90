"""What `measure_etcd.py` measures: one module per idea, one generator of table rows per topic."""
