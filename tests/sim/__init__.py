"""A deterministic simulation: the real core and plans on a model of etcd, in virtual time."""
