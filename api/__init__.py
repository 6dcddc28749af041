"""REST, Kafka Connect's paths and bodies, and the command line."""
