"""What `make bench` runs. Each benchmark measures the project and a limit in the same run."""
