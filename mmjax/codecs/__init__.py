"""Between raw data and what models see: latents or tokens, there and back."""
