//! Makes of the files in `page`, which npm has built, what the program carries: compressed, each with its name and a tag.

use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Where they are.
const PAGE: &str = "page";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={PAGE}");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    let mut names = Vec::new();
    list(Path::new(PAGE), &mut names);
    names.sort();
    let mut table = "&[\n".to_owned();
    for (n, path) in names.iter().enumerate() {
        println!("cargo:rerun-if-changed={}", path.display());
        let body = fs::read(path).expect("a file of the page can be read");
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&body).expect("memory takes it");
        let compressed = out.join(format!("page-{n}.gz"));
        fs::write(&compressed, encoder.finish().expect("memory takes it")).expect("cargo's directory can be written");
        let name = path.strip_prefix(PAGE).expect("it was found there").display().to_string();
        writeln!(
            table,
            "    File {{ name: {name:?}, tag: \"{:016x}\", compressed: include_bytes!({:?}) }},",
            hasher.finish(),
            compressed.display().to_string()
        )
        .expect("a text takes it");
    }
    table.push(']');
    fs::write(out.join("page.rs"), table).expect("cargo's directory can be written");
}

fn list(directory: &Path, names: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("the page is there") {
        let path = entry.expect("the page is there").path();
        if path.is_dir() { list(&path, names) } else { names.push(path) }
    }
}
