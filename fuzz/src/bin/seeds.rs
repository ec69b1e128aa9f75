//! Writes seeds that are made of values by what reads them: `DIRECTORY/TARGET/NUMBER`. So they are of the version that is built.

use std::path::Path;
use std::{env, fs, io};

use lxkns_model::wire;

fn main() -> io::Result<()> {
    // Links the counters that its code has, too.
    let _ = lxkns_fuzz::mutate_json;
    let directory = env::args_os().nth(1).ok_or(io::ErrorKind::InvalidInput)?;
    let mut small_host = Vec::new();
    wire::write(&lxkns_answers::testing::contained(), &wire::WriteOptions::default(), &mut small_host)
        .map_err(io::Error::other)?;
    let everything = include_bytes!("../../../lxkns-model/src/wire/tests/golden.json").to_vec();
    let dumps = [("dump", small_host), ("dump", everything)];
    let seeds = lxkns_serve::fuzz::seeds().into_iter().chain(lxkns_inside::fuzz::seeds()).chain(dumps);
    for (number, (target, bytes)) in seeds.enumerate() {
        let directory = Path::new(&directory).join(target);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(number.to_string()), bytes)?;
    }
    Ok(())
}
