"""The long figures of the threat model's demands: `make soak`, one command, one table."""
