"""What connectors for databases share."""
