"""All that produces tokens: model clients behind one protocol."""
