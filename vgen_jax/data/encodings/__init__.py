"""Files of clips that a tokenizer has encoded."""
