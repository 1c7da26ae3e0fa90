"""The etcd in memory behind ``etcd_election.testing``."""
