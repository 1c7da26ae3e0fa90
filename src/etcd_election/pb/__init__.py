"""etcd's wire contract, made by scripts/gen_protos.sh: not to be edited."""
