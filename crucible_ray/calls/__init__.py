"""What surrounds one model call: limits and send slots, deadlines, retries, money. Pure policies with an injected clock."""
