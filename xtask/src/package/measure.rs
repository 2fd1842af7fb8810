//! How large files are, as they are and compressed.

use std::path::Path;

use crate::{Outcome, process};

/// Prints raw, gzip and brotli size of each file it is given, one line each.
const MEASURE: &str = "\
const { readFileSync } = require('node:fs');
const { gzipSync, brotliCompressSync } = require('node:zlib');
for (const path of process.argv.slice(1)) {
  const bytes = readFileSync(path);
  console.log(bytes.length, gzipSync(bytes, { level: 9 }).length, brotliCompressSync(bytes).length);
}";

/// One measured file, or several together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) raw: u64,
    pub(super) gzip: u64,
    pub(super) brotli: u64,
}

impl Size {
    pub(super) fn and(&self, other: &Size) -> Size {
        Size { raw: self.raw + other.raw, gzip: self.gzip + other.gzip, brotli: self.brotli + other.brotli }
    }
}

/// The size of each of these.
pub(super) fn files(files: &[&Path]) -> Outcome<Vec<Size>> {
    let printed = process::read(process::program("node").args(["-e", MEASURE]).args(files))
        .ok_or("node could not measure the package")?;
    let sizes: Vec<Size> = printed.lines().filter_map(parse).collect();
    if sizes.len() == files.len() { Ok(sizes) } else { Err(format!("unexpected sizes: {printed}")) }
}

fn parse(line: &str) -> Option<Size> {
    let mut numbers = line.split_whitespace().map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some(Size { raw: next()?, gzip: next()?, brotli: next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_added() {
        let size = parse("10 5 4").unwrap();
        assert_eq!(size.and(&size), Size { raw: 20, gzip: 10, brotli: 8 });
        assert_eq!(parse("10 5"), None);
        assert_eq!(parse("a b c"), None);
    }
}
