"""The `crucible-ray` command: each verb parses, calls one function, prints."""
