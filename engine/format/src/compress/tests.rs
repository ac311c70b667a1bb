use super::*;
use crate::clock::{Entropy, SeededEntropy};

fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    SeededEntropy::new(1).fill(&mut bytes).unwrap();
    bytes
}

fn text(len: usize) -> Vec<u8> {
    let words =
        (0u32..).flat_map(|n| format!("static int field_{} = {};\n", n % 977, n.wrapping_mul(2654435761)).into_bytes());
    words.take(len).collect()
}

#[test]
fn text_is_compressed_and_comes_back() {
    let (mut compressor, mut decompressor) = (Compressor::new(3).unwrap(), Decompressor::new().unwrap());
    let mut out = Vec::new();
    for len in [200, 4096, 12 << 10, 128 << 10, (128 << 10) + 1, 600 << 10] {
        let plain = text(len);
        assert_eq!(compressor.compress(&plain, &mut out), Codec::Zstd, "{len}");
        assert!(out.len() <= len * 97 / 100, "{len}");
        assert_eq!(decompressor.decompress(&out, len).unwrap(), plain);
        assert_eq!(decompressor.decompress(&out, len - 1), None, "one byte more than expected");
        assert_eq!(decompressor.decompress(&out, len + 1), None, "one byte less than expected");
    }
}

#[test]
fn what_does_not_pay_is_stored_plain() {
    let mut compressor = Compressor::new(3).unwrap();
    let mut out = Vec::new();
    for len in [0, 1, 63, 64, 1000, 12 << 10, 600 << 10] {
        assert_eq!(compressor.compress(&noise(len), &mut out), Codec::Plain, "{len}");
    }
    // Even enough to pass the count, but nothing to gain: the trial finds it.
    let six_bits: Vec<u8> =
        noise(300 << 10).iter().zip(0u32..).map(|(byte, n)| if n % 40 == 0 { 0 } else { *byte }).collect();
    assert_eq!(compressor.compress(&six_bits, &mut out), Codec::Plain);
}

#[test]
fn a_buffer_with_former_content_does_not_matter() {
    let mut compressor = Compressor::new(1).unwrap();
    let (mut dirty, mut clean) = (vec![9; 100_000], Vec::new());
    compressor.compress(&text(50_000), &mut dirty);
    compressor.compress(&text(50_000), &mut clean);
    assert_eq!(dirty, clean);
}

#[test]
fn a_frame_that_claims_more_than_its_place_is_refused() {
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 3).unwrap();
    assert_eq!(Decompressor::new().unwrap().decompress(&bomb, 8 << 20), None);
}
