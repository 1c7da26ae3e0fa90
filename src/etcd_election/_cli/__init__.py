"""The command ``etcd-election``. The library itself never loads it."""
