"""What watches a session: the page and probes, metrics, history, systemd and Kubernetes."""
