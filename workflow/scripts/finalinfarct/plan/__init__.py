"""What the rules need before the first job: checked configuration, patients, images, model families, hashes of the code."""
