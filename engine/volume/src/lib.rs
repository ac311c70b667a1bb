//! Bytes in and out of a volume: tree walk and safe writer.
