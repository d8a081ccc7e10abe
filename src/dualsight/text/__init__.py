"""Words to tokens: the CLIP tokenizer, prompt templates and label sets."""
