"""What makes installed machines a Kubernetes: versions, kubeadm's documents, files and commands of nodes. All pure."""
