//! Payloads and entries keep what they say.
