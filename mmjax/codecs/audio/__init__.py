"""Codecs of sound: waveforms to tokens or latents, spectrograms to latents and to waveforms."""
