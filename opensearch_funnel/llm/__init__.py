"""Language models behind any chat endpoint in OpenAI's form, asked within limits."""
