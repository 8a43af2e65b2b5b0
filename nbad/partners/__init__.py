"""What partners' files stand on: calls on labelled and on lazy arrays, aligned or cut into blocks, and put together again."""
