//! What an ELF program needs from the host; `elf(5)`.

use anyhow::{Context, bail};

const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const DT_NEEDED: u64 = 1;

/// Whether a program needs a loader or libraries.
pub(super) fn needs_others(program: &[u8]) -> anyhow::Result<bool> {
    let is_wide = match program.get(..5) {
        Some(b"\x7fELF\x01") => false,
        Some(b"\x7fELF\x02") => true,
        _ => bail!("not a program in ELF"),
    };
    let is_little = program.get(5) == Some(&1);
    let number = |at: u64, length: usize| -> anyhow::Result<u64> {
        let at = usize::try_from(at)?;
        let bytes = program.get(at..at.saturating_add(length)).context("the program ends too early")?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Ok(if is_little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) })
    };
    // Where things are: in the file's header, in a program header, in an entry of the dynamic section.
    let word = if is_wide { 8 } else { 4 };
    let (headers_at, size_at, offset_at, length_at) = if is_wide { (32, 54, 8, 32) } else { (28, 42, 4, 16) };
    let (headers, size, count) = (number(headers_at, word)?, number(size_at, 2)?, number(size_at + 2, 2)?);
    for header in (0..count).map(|n| headers.saturating_add(n * size)) {
        match number(header, 4)? {
            PT_INTERP => return Ok(true),
            PT_DYNAMIC => {
                let (from, length) =
                    (number(header.saturating_add(offset_at), word)?, number(header.saturating_add(length_at), word)?);
                let entries = (from..from.saturating_add(length)).step_by(2 * word);
                for entry in entries {
                    if number(entry, word)? == DT_NEEDED {
                        return Ok(true);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_needs_others() {
        assert!(needs_others(&std::fs::read("/proc/self/exe").unwrap()).unwrap());
    }

    #[test]
    fn a_program_without_headers_needs_nobody() {
        let mut program = vec![0; 64];
        program[..6].copy_from_slice(b"\x7fELF\x02\x01");
        assert!(!needs_others(&program).unwrap());
        // A header that is not there.
        (program[32], program[54], program[56]) = (64, 56, 1);
        assert!(needs_others(&program).is_err());
        // A loader.
        program.resize(120, 0);
        program[64] = 3;
        assert!(needs_others(&program).unwrap());
        assert!(needs_others(b"#!/bin/sh").is_err());
    }
}
