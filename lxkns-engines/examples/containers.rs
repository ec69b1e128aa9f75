//! Prints the containers of this host, and how one knows.

use lxkns_core::{Discovery, DiscoveryOptions, ProcRoot};
use lxkns_engines::{Host, Options};

fn main() -> Result<(), lxkns_core::Error> {
    let mut snapshot = Discovery::of_host()?.run(&DiscoveryOptions::namespaces())?;
    let host = Host::new(ProcRoot::host()?);
    let began = std::time::Instant::now();
    lxkns_engines::annotate(&mut snapshot, &host, &Options::default());
    println!("recognized in {:?}", began.elapsed());
    let containers = snapshot.annotations.containers.unwrap_or_default();
    println!("{containers:#?}");
    for gap in snapshot.gaps.iter().filter(|gap| gap.place == lxkns_core::model::Place::Containers) {
        println!("{gap:?}");
    }
    Ok(())
}
