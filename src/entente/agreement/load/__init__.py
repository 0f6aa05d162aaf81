"""From the text of a document to its versions, or to everything that is wrong with it."""
