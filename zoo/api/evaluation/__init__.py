"""What `zoo.evaluate` opens and measures: models, the files of an export, and what they are compared with."""
