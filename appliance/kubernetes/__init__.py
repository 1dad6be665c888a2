"""What makes installed machines a Kubernetes: versions, kubeadm's documents, files and commands of nodes, and who gets
which certificate; all pure but `api`, which speaks with a cluster."""
