"""What tests are made of: real servers, a proxy, servers that misbehave, and a view of etcd."""
