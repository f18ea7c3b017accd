"""Results that survive: the numbered log, what it says, and the files that are made of it.

| module | holds |
| --- | --- |
| `rows` | a row with its calls as Arrow columns, and the buffer that clients fill |
| `entries` | one entry of the log as bytes |
| `log` | `Journal`, the writer: next number or superseded |
| `alive` | who writes, and whether that process is dead |
| `store`, `disk`, `memory`, `cloud` | where entries lie |
| `trials` | a set of trial numbers in a bit each |
| `state` | what a resume needs: which trials have a row, what was spent |
| `kept`, `spill` | the rows that count, in order of trial, sorted on disk |
| `tables`, `cells`, `artifacts`, `environment` | the files of a results folder |
"""
